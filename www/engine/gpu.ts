// Detects whether this browser can train on the GPU, before the worker is asked to.

export type GpuProblem = 'insecure' | 'no-webgpu' | 'no-adapter' | 'no-timestamp-query'

interface Gpu {
  requestAdapter(): Promise<{ features: { has(name: string): boolean } } | null>
}

export async function gpuProblem(): Promise<GpuProblem | null> {
  if (!window.isSecureContext) return 'insecure'
  const gpu = (navigator as { gpu?: Gpu }).gpu
  if (!gpu) return 'no-webgpu'
  const adapter = await gpu.requestAdapter().catch(() => null)
  if (!adapter) return 'no-adapter'
  return adapter.features.has('timestamp-query') ? null : 'no-timestamp-query'
}

/** The problem as a sentence. */
export const gpuProblemText: Record<GpuProblem, string> = {
  insecure: 'Browsers offer WebGPU only to pages opened over https or from localhost.',
  'no-webgpu': 'This browser does not support WebGPU.',
  'no-adapter': 'This browser supports WebGPU but found no GPU.',
  'no-timestamp-query': 'WebGPU in this browser lacks the feature “timestamp-query”.',
}
