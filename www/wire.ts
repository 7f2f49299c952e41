// What crosses between the page and its worker, around the Rust types of types.ts.

import type { Command, Estimate, Event, ModelConfig, PresetInfo, RunConfig, SampleConfig } from './types'

export type { PresetInfo }

/** The functions of the wasm package that answer at once. */
export interface Calls {
  presets(): PresetInfo[]
  estimate(model: ModelConfig, batchSize: number, seqLen: number, gradientCheckpointing: boolean): Estimate
  validate(config: RunConfig): string | undefined
  default_sample(): SampleConfig
}

/** Page to worker. */
export type Request =
  { kind: 'command'; command: Command } | { kind: 'call'; id: number; name: keyof Calls; args: unknown[] }

/** Worker to page. */
export type Reply =
  | { kind: 'event'; event: Event }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refused'; id: number; message: string }
  /** The engine cannot go on: it did not load, or it crashed. */
  | { kind: 'broken'; message: string }
