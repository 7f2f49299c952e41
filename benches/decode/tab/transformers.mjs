// transformers.js as a contestant of run.mjs: loads the ONNX model and generates.
import { AutoModelForCausalLM, Tensor, env } from '/packages/@huggingface/transformers/dist/transformers.min.js'

env.allowRemoteModels = false
env.allowLocalModels = true
env.localModelPath = '/'
env.backends.onnx.wasm.wasmPaths = '/packages/onnxruntime-web/dist/'
env.backends.onnx.wasm.numThreads = navigator.hardwareConcurrency

let model

window.peer = {
  name: 'transformers.js',
  version: env.version,
  /** Loads the model on `cpu` or `webgpu` and resolves to a description of the device. */
  async open(device) {
    model = await AutoModelForCausalLM.from_pretrained('model', { device: device === 'cpu' ? 'wasm' : device, dtype: 'fp32' })
    return device === 'cpu' ? `WebAssembly, ${env.backends.onnx.wasm.numThreads} threads` : 'WebGPU'
  },
  /** Generates `count` tokens after `ids`, greedily. */
  async write(ids, count) {
    const inputs = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])
    const options = { max_new_tokens: count, min_new_tokens: count, do_sample: false }
    const all = (await model.generate({ inputs, ...options })).tolist()[0]
    return all.slice(ids.length).map(Number)
  },
}
