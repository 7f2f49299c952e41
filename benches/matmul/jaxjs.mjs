// Matrix product of jax-js.
import { blockUntilReady, defaultDevice, getWebGPUDevice, init, jit, numpy as np } from '@jax-js/jax'
import { version } from '../node_modules/@jax-js/jax/package.json'
import { adapterName } from '../common.mjs'

await init('webgpu')
if (defaultDevice('webgpu') !== 'webgpu') throw new Error('jax-js has no webgpu device')

window.peer = {
  name: 'jax-js',
  version,
  async product([rows, depth, columns], a, b) {
    const left = np.array(a, { shape: [rows, depth] })
    const right = np.array(b, { shape: [depth, columns] })
    await blockUntilReady([left, right])
    const multiply = jit((left, right) => np.matmul(left, right))
    let result
    return {
      adapter: adapterName(getWebGPUDevice()),
      // Arrays are reference-counted: a call consumes its argument unless it is passed as `.ref`.
      async run() {
        result?.dispose()
        result = multiply(left.ref, right.ref)
        await result.blockUntilReady()
      },
      read: () => result.ref.data(),
      free: () => [result, left, right].forEach((array) => array.dispose()),
    }
  },
}
