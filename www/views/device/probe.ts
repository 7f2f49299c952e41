// What the browser reports about this computer, and what each value means for training.

import { bytes, count } from '../../lib/format'

export interface Fact {
  name: string
  value: string
  meaning: string
  /** Required for training on the GPU, but missing. */
  missing?: boolean
}

export interface Group {
  title: string
  facts: Fact[]
}

const yes = (is: boolean): string => (is ? 'yes' : 'no')

/** A GPU limit in binary units: limits are powers of two. */
function memory(n: number): string {
  const [unit, size] = n >= 2 ** 30 ? ['GiB', 2 ** 30] : n >= 2 ** 20 ? ['MiB', 2 ** 20] : ['KiB', 2 ** 10]
  return `${count(Math.floor((10 * n) / size) / 10)} ${unit}`
}

/** Everything a page can query without permission; `scores` is the size of one batch's logits in bytes. */
export const probe = async (scores: number): Promise<Group[]> => [
  { title: 'GPU', facts: await graphics(scores) },
  { title: 'Processor and memory', facts: processor() },
  { title: 'Page and storage', facts: await storage() },
]

async function graphics(scores: number): Promise<Fact[]> {
  // Browsers without WebGPU lack this property.
  const gpu = (navigator as { gpu?: GPU }).gpu
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (!adapter) {
    const value = gpu ? 'no GPU found' : 'not supported by this browser'
    const meaning =
      'Lets a page compute on the GPU. Without it, training runs on the CPU: slower, but just as accurate.'
    return [{ name: 'WebGPU', value, missing: true, meaning }]
  }
  const { info, limits, features } = adapter
  const words = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ')
  const has = (name: string): boolean => features.has(name)
  return [
    {
      name: 'Adapter',
      value: words || 'unnamed',
      meaning:
        'The browser’s name for the GPU. Many browsers only report the vendor, to protect you from fingerprinting.',
    },
    {
      name: 'Timestamps',
      value: yes(has('timestamp-query')),
      missing: !has('timestamp-query'),
      meaning: 'GPU timestamps for timing kernels. The engine requires them.',
    },
    {
      name: 'Largest binding',
      value: memory(limits.maxStorageBufferBindingSize),
      missing: scores > limits.maxStorageBufferBindingSize,
      meaning: `Maximum size of a tensor. The logits of a batch are often the largest one: ${bytes(scores)} with your settings.`,
    },
    {
      name: 'Largest buffer',
      value: memory(limits.maxBufferSize),
      meaning: 'Maximum size of one GPU allocation.',
    },
    {
      name: 'Shared memory',
      value: memory(limits.maxComputeWorkgroupStorageSize),
      meaning: 'Fast memory shared by the threads of a workgroup. More of it allows larger tiles in matrix products.',
    },
    {
      name: 'Threads per workgroup',
      value: count(limits.maxComputeInvocationsPerWorkgroup),
      meaning: 'Maximum number of threads that work on one tile together.',
    },
    {
      name: 'Subgroups',
      value: yes(has('subgroups')),
      meaning: 'Groups of threads that exchange values without going through memory. Optional.',
    },
    {
      name: '16-bit numbers',
      value: yes(has('shader-f16')),
      meaning: 'Half the memory per number. Needed only for 16-bit precision; training in 32 bits works without them.',
    },
  ]
}

function processor(): Fact[] {
  const { hardwareConcurrency: cores, deviceMemory } = navigator as Navigator & { deviceMemory?: number }
  return [
    {
      name: 'Processor cores',
      value: count(cores),
      meaning: 'Training on the CPU uses one of them.',
    },
    {
      name: 'Memory',
      value: deviceMemory ? `${count(deviceMemory)} GiB or more` : 'not reported',
      meaning: 'Approximate, and not reported by every browser. The engine can use up to 4 GiB.',
    },
  ]
}

async function storage(): Promise<Fact[]> {
  const { usage, quota } = (await navigator.storage?.estimate().catch(() => null)) ?? {}
  const lasting = (await navigator.storage?.persisted().catch(() => false)) ?? false
  const offline = Boolean(navigator.serviceWorker?.controller)
  const secure = window.isSecureContext
  return [
    {
      name: 'Storage',
      value: quota ? `${bytes(usage ?? 0)} of ${bytes(quota)} used` : 'not reported',
      meaning: 'Your runs are stored here, in this browser only.',
    },
    {
      name: 'Persistent storage',
      value: yes(lasting),
      meaning: 'If not, the browser may delete your runs when the disk is full. Download the runs you want to keep.',
    },
    {
      name: 'Works offline',
      value: yes(offline),
      meaning: 'Whether the page is cached and opens without a network connection.',
    },
    {
      name: 'Secure page',
      value: yes(secure),
      missing: !secure,
      meaning: 'Browsers provide WebGPU and storage only to pages opened over https or from localhost.',
    },
    {
      name: 'Isolated page',
      value: yes(crossOriginIsolated),
      meaning:
        'Cross-origin isolation gives the page more precise timers. The server enables it; training works without it.',
    },
    {
      name: 'Stays awake',
      value: yes('wakeLock' in navigator),
      meaning: 'Whether the page can keep the screen on while a model trains. If not, keep the device awake yourself.',
    },
  ]
}
