// Whether this browser can train on its GPU, found out before the worker is asked to.

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

/** What is wrong, in a sentence. */
export const gpuProblemText: Record<GpuProblem, string> = {
  insecure: 'Browsers offer WebGPU only to pages opened over https or from localhost.',
  'no-webgpu': 'This browser does not offer WebGPU.',
  'no-adapter': 'This browser knows WebGPU but found no graphics device for it.',
  'no-timestamp-query': 'This browser’s WebGPU lacks the feature “timestamp-query”.',
}
