// What the browser says of this machine, and what each figure means for training.

import { bytes, count } from '../../lib/format'

export interface Fact {
  name: string
  value: string
  meaning: string
  /** Something that training misses. */
  missing?: boolean
}

export interface Group {
  title: string
  facts: Fact[]
}

const yes = (is: boolean): string => (is ? 'yes' : 'no')

/** A limit of the card: these are powers of two. */
function memory(n: number): string {
  const [unit, size] = n >= 2 ** 30 ? ['GiB', 2 ** 30] : n >= 2 ** 20 ? ['MiB', 2 ** 20] : ['KiB', 2 ** 10]
  return `${count(Math.floor((10 * n) / size) / 10)} ${unit}`
}

/** All that can be asked of the browser without permission; `scores` are the bytes of one batch's predictions. */
export const probe = async (scores: number): Promise<Group[]> => [
  { title: 'Graphics card', facts: await graphics(scores) },
  { title: 'Processor and memory', facts: processor() },
  { title: 'Page and storage', facts: await storage() },
]

async function graphics(scores: number): Promise<Fact[]> {
  // Where a browser has no WebGPU it has no such property either.
  const gpu = (navigator as { gpu?: GPU }).gpu
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (!adapter) {
    const value = gpu ? 'no graphics card found' : 'not in this browser'
    const meaning = 'How a page computes on the graphics card. Without it the CPU trains: slower, but as exact.'
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
        'What the browser calls the card. Many browsers tell only the maker, to protect you from being recognised.',
    },
    {
      name: 'Timestamps',
      value: yes(has('timestamp-query')),
      missing: !has('timestamp-query'),
      meaning: 'The engine times its programs on the card to choose the fastest. It cannot use a card without.',
    },
    {
      name: 'Largest array',
      value: memory(limits.maxStorageBufferBindingSize),
      missing: scores > limits.maxStorageBufferBindingSize,
      meaning: `No tensor may be larger. Often the largest are the predictions for a batch, a number for each token of the vocabulary at each place: ${bytes(scores)} with your settings.`,
    },
    {
      name: 'Largest buffer',
      value: memory(limits.maxBufferSize),
      meaning: 'The most memory the card gives out in one piece.',
    },
    {
      name: 'Shared memory',
      value: memory(limits.maxComputeWorkgroupStorageSize),
      meaning: 'Fast memory that a group of threads shares. The more, the larger the tiles of a matrix product.',
    },
    {
      name: 'Threads in a group',
      value: count(limits.maxComputeInvocationsPerWorkgroup),
      meaning: 'How many threads can work on one tile together.',
    },
    {
      name: 'Subgroups',
      value: yes(has('subgroups')),
      meaning: 'Threads that can add up numbers without going through memory. Good to have, not needed.',
    },
    {
      name: '16-bit numbers',
      value: yes(has('shader-f16')),
      meaning: 'Half the memory for each number. Training in this page is in 32 bits and does not need them.',
    },
  ]
}

function processor(): Fact[] {
  const { hardwareConcurrency: cores, deviceMemory } = navigator as Navigator & { deviceMemory?: number }
  return [
    {
      name: 'Processor cores',
      value: count(cores),
      meaning: 'Training on the CPU uses one of them, and leaves the others to you.',
    },
    {
      name: 'Memory',
      value: deviceMemory ? `${count(deviceMemory)} GiB or more` : 'not told',
      meaning: 'Told roughly, and not by every browser. The engine itself can use up to 4 GiB of it.',
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
      value: quota ? `${bytes(usage ?? 0)} of ${bytes(quota)} used` : 'not told',
      meaning: 'Where your runs are kept, in this browser only.',
    },
    {
      name: 'Kept for good',
      value: yes(lasting),
      meaning: 'If not, the browser may clear the storage when the disk is full. Download a run to be sure of it.',
    },
    {
      name: 'Works offline',
      value: yes(offline),
      meaning: 'The page itself is kept here too, and opens without a network.',
    },
    {
      name: 'Secure page',
      value: yes(secure),
      missing: !secure,
      meaning: 'Browsers give WebGPU and storage only to pages from https or from this machine.',
    },
    {
      name: 'Isolated page',
      value: yes(crossOriginIsolated),
      meaning: 'Exact clocks. The server asks for it; training works without.',
    },
    {
      name: 'Stays awake',
      value: yes('wakeLock' in navigator),
      meaning: 'Keeps the screen on while a model trains. Where it is missing, keep the device awake yourself.',
    },
  ]
}
