// Measured training speeds: the only source of the page's time estimates.

import type { DeviceInfo, RunConfig } from './types'

const KEY = 'blankslate.rates'
const KEPT = 50

/** A speed belongs to one device and one shape of work; anything else would be a guess. */
function key(device: DeviceInfo, config: RunConfig, vocabSize: number): string {
  const { init, initializer_range, bos_token_id, eos_token_id, ...shape } = config.model
  const { batch_size, optimizer, lora_rank } = config.train
  return JSON.stringify([
    device.name,
    device.adapter,
    { ...shape, vocab_size: vocabSize },
    batch_size,
    optimizer,
    lora_rank,
    config.data.seq_len,
  ])
}

function read(): [string, number][] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}

/** Remembers tokens per second. */
export function remember(device: DeviceInfo, config: RunConfig, tokensPerSecond: number): void {
  const own = key(device, config, config.model.vocab_size)
  const others = read().filter(([other]) => other !== own)
  try {
    localStorage.setItem(KEY, JSON.stringify([[own, tokensPerSecond], ...others].slice(0, KEPT)))
  } catch {
    // Without storage the estimate is missing next time; nothing else is lost.
  }
}

/** Tokens per second if this very work was measured on this device. */
export function recall(device: DeviceInfo, config: RunConfig, vocabSize: number): number | null {
  const own = key(device, config, vocabSize)
  return read().find(([other]) => other === own)?.[1] ?? null
}
