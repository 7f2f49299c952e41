// Matrix product of TensorFlow.js on its WebGPU backend.
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-webgpu'
import { adapterName } from '../common.mjs'

if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs has no webgpu backend')
await tf.ready()

window.peer = {
  name: 'tfjs',
  version: tf.version_core,
  async product([rows, depth, columns], a, b) {
    const left = tf.tensor(a, [rows, depth])
    const right = tf.tensor(b, [depth, columns])
    let result
    return {
      adapter: adapterName(tf.backend().device),
      async run() {
        result?.dispose()
        result = tf.matMul(left, right)
        // Operations run in order, so reading one number waits for the whole product.
        const corner = tf.slice(result, [0, 0], [1, 1])
        await corner.data()
        corner.dispose()
      },
      read: () => result.data(),
      free: () => tf.dispose([result, left, right]),
    }
  },
}
