// What crosses between the page and its worker, around the Rust types of types.ts.

import type {
  Answer,
  Command,
  Estimate,
  Event,
  ExampleInfo,
  ModelConfig,
  PresetInfo,
  Query,
  RunConfig,
  SampleConfig,
  TrainConfig,
} from '../types'

export type { ExampleInfo, PresetInfo }

/** What the worker answers at once: functions of the wasm package, and what only the worker knows. */
export interface Calls {
  presets(): PresetInfo[]
  /** The texts that can be made by rule, and one of them. */
  examples(): ExampleInfo[]
  example(name: string): string
  estimate(model: ModelConfig, train: TrainConfig, seqLen: number): Estimate
  validate(config: RunConfig): string | undefined
  default_sample(): SampleConfig
  /** Bytes of the engine's own memory; what is on the graphics card is not in it. */
  memory(): number
  /** Loses the GPU device on purpose; false where there is none. */
  destroy_device(): boolean
}

/** The answer that belongs to a question. */
export type AnswerTo<T extends Query['type']> = Extract<Answer, { type: T }>

/** Where runs are saved if the browser keeps no files for the page. */
export type Place = 'database' | 'page'

/** Page to worker. */
export type Request =
  /** What it holds for the engine, by paths. */
  | { kind: 'held'; files: Map<string, Blob> }
  | { kind: 'command'; command: Command }
  | { kind: 'call'; id: number; name: keyof Calls; args: unknown[] }
  | { kind: 'ask'; id: number; query: Query }

/** Worker to page. */
export type Reply =
  | { kind: 'event'; event: Event }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refused'; id: number; message: string }
  /** The GPU device is gone, and with it all that was on it. */
  | { kind: 'lost'; reason: string }
  /** The browser keeps no files: they go to this place, of which the page is asked for what it holds. */
  | { kind: 'storage'; place: Place }
  /** The page is to hold a file for the next worker, or to let go of it. */
  | { kind: 'hold'; path: string; content: Blob | null }
  /** The engine cannot go on: it did not load, or it crashed. */
  | { kind: 'broken'; message: string }
