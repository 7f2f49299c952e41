// Compiles WebGPU pipelines in parallel.
//
// wgpu creates a pipeline when a kernel first needs it, so the browser compiles them one after another. Between `begin`
// and the last `next`, each pipeline is compiled in the background and a placeholder is returned instead, which the
// patched methods below replace by the pipeline.

/** The pipeline of each placeholder, and a function that creates it if it is needed before it is finished. */
const pipelineOf = new WeakMap()
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
    const placeholder = Object.create(GPUComputePipeline.prototype)
    const known = { make, finished: undefined }
    pipelineOf.set(placeholder, known)
    // A failed pipeline is created again synchronously, which reports the error as usual.
    const work = this.createComputePipelineAsync(descriptor)
      .then((pipeline) => void (known.finished ??= pipeline), () => {})
      .finally(() => running.delete(work))
    running.add(work)
    total += 1
    return placeholder
  }

  GPUComputePassEncoder.prototype.setPipeline = function (pipeline) {
    setPipeline.call(this, resolve(pipeline))
  }

  GPUComputePipeline.prototype.getBindGroupLayout = function (index) {
    return getBindGroupLayout.call(resolve(this), index)
  }
}

function resolve(pipeline) {
  const known = pipelineOf.get(pipeline)
  return known ? (known.finished ??= known.make()) : pipeline
}

/** Starts compiling pipelines in the background. */
export function begin() {
  collecting = true
  total = 0
}

/** Stops compiling in the background; pipelines are created on demand as usual. */
export function end() {
  collecting = false
}

/** Returns the number of pipelines since `begin`. */
export const begun = () => total

/** Waits until a pipeline is finished and returns the number of unfinished ones. */
export async function next() {
  await Promise.race(running)
  return running.size
}
