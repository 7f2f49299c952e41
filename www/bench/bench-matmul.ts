// Page of blankslate for the matrix product benchmark, benches/matmul. Its driver serves this page and measures; the page only multiplies.

import init, { Product } from '../../pkg/blankslate.js'
import { version } from '../../package.json'

await init()

const peer = {
  name: 'blankslate',
  version,
  async product([rows, depth, columns]: [number, number, number], a: Float32Array, b: Float32Array) {
    const product = await Product.create(rows, depth, columns, a, b)
    return {
      adapter: product.adapter(),
      run: () => product.run(),
      read: () => product.read(),
      free: () => product.free(),
    }
  },
}

Object.assign(window, { peer })
