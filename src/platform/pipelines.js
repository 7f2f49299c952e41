// Compiles WebGPU pipelines side by side.
//
// wgpu asks for a pipeline when the first kernel needs it, and the browser then compiles one after the other. Between
// `begin` and the last `next`, each is begun at once in the background and a stand-in is handed out, which the two
// patched methods below exchange for the pipeline itself.

/** What each stand-in stands for: the pipeline, or how to make it where it is needed before it is finished. */
const standsFor = new WeakMap()
let collecting = false
const running = new Set()
let total = 0

if (globalThis.GPUDevice) {
  const { createComputePipeline } = GPUDevice.prototype
  const { setPipeline } = GPUComputePassEncoder.prototype
  const { getBindGroupLayout } = GPUComputePipeline.prototype

  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    const make = () => createComputePipeline.call(this, descriptor)
    if (!collecting) return make()
    const standIn = Object.create(GPUComputePipeline.prototype)
    const known = { make, finished: undefined }
    standsFor.set(standIn, known)
    // Where it fails, it is made again in the ordinary way, whose errors are reported in the ordinary way.
    const work = this.createComputePipelineAsync(descriptor)
      .then((pipeline) => void (known.finished ??= pipeline), () => {})
      .finally(() => running.delete(work))
    running.add(work)
    total += 1
    return standIn
  }

  GPUComputePassEncoder.prototype.setPipeline = function (pipeline) {
    setPipeline.call(this, resolve(pipeline))
  }

  GPUComputePipeline.prototype.getBindGroupLayout = function (index) {
    return getBindGroupLayout.call(resolve(this), index)
  }
}

function resolve(pipeline) {
  const known = standsFor.get(pipeline)
  return known ? (known.finished ??= known.make()) : pipeline
}

/** From now on pipelines are compiled in the background. */
export function begin() {
  collecting = true
  total = 0
}

/** From now on they are compiled when they are asked for, as usual. */
export function end() {
  collecting = false
}

/** Pipelines begun since `begin`. */
export const begun = () => total

/** Waits for the next one to be finished, and says how many are not. */
export async function next() {
  await Promise.race(running)
  return running.size
}
