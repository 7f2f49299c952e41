// Measured training speeds, the only source of time estimates on the page.

import type { DeviceInfo, RunConfig } from '../types'

const KEY = 'blankslate.rates'
const KEPT = 50

/** Tokens per second by device and configuration, newest first. */
export type Rates = readonly (readonly [work: string, tokensPerSecond: number])[]

/** Key of a measured speed: the device and everything that affects the speed of a step. */
function workOf(device: DeviceInfo, config: RunConfig): string {
  const { init, initializer_range, bos_token_id, eos_token_id, ...shape } = config.model
  const { batch_size, optimizer, precision, gradient_checkpointing, lora_rank } = config.train
  return JSON.stringify([
    device.name,
    device.adapter,
    shape,
    [batch_size, optimizer, precision, gradient_checkpointing, lora_rank],
    config.data.seq_len,
  ])
}

/** The speeds stored in this browser. */
export function remembered(): Rates {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]')
  } catch {
    return []
  }
}

/** Adds a speed and stores all of them in the browser. */
export function withRate(rates: Rates, device: DeviceInfo, config: RunConfig, tokensPerSecond: number): Rates {
  const own = workOf(device, config)
  const all: Rates = [[own, tokensPerSecond] as const, ...rates.filter(([other]) => other !== own)].slice(0, KEPT)
  try {
    localStorage.setItem(KEY, JSON.stringify(all))
  } catch {
    // Without storage it is measured again next time.
  }
  return all
}

/** Tokens per second of exactly this work on this device; null if never measured. */
export function rateOf(rates: Rates, device: DeviceInfo, config: RunConfig): number | null {
  const own = workOf(device, config)
  return rates.find(([other]) => other === own)?.[1] ?? null
}
