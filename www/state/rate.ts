// Measured training speeds: the only source of the page's time estimates.

import type { DeviceInfo, RunConfig } from '../types'

const KEY = 'blankslate.rates'
const KEPT = 50

/** Tokens per second by what was trained on what, the newest first. */
export type Rates = readonly (readonly [work: string, tokensPerSecond: number])[]

/** A speed belongs to one device and one shape of work; anything else would be a guess. */
function workOf(device: DeviceInfo, config: RunConfig, vocabSize: number): string {
  const { init, initializer_range, bos_token_id, eos_token_id, ...shape } = config.model
  const { batch_size, optimizer, precision, gradient_checkpointing, lora_rank } = config.train
  return JSON.stringify([
    device.name,
    device.adapter,
    { ...shape, vocab_size: vocabSize },
    [batch_size, optimizer, precision, gradient_checkpointing, lora_rank],
    config.data.seq_len,
  ])
}

/** The speeds that this browser remembers. */
export function remembered(): Rates {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}

/** The speeds with one more, which the browser remembers. */
export function withRate(rates: Rates, device: DeviceInfo, config: RunConfig, tokensPerSecond: number): Rates {
  const own = workOf(device, config, config.model.vocab_size)
  const all: Rates = [[own, tokensPerSecond] as const, ...rates.filter(([other]) => other !== own)].slice(0, KEPT)
  try {
    localStorage.setItem(KEY, JSON.stringify(all))
  } catch {
    // Without storage it is measured anew next time; nothing else is lost.
  }
  return all
}

/** Tokens per second if this very work was measured on this device. */
export function rateOf(rates: Rates, device: DeviceInfo, config: RunConfig, vocabSize: number): number | null {
  const own = workOf(device, config, vocabSize)
  return rates.find(([other]) => other === own)?.[1] ?? null
}
