// Messages between the page and its worker, around the Rust types of types.ts.

import type {
  Answer,
  Command,
  DataKind,
  DeviceInfo,
  Estimate,
  Event,
  ExampleInfo,
  Explanation,
  FormSettings,
  FoundText,
  GivenSettings,
  PresetInfo,
  Query,
  RunConfig,
  SampleConfig,
} from '../types'

export type { ExampleInfo, PresetInfo }

/** Calls that the worker answers directly: functions of the wasm package, and details only the worker knows. */
export interface Calls {
  presets(): PresetInfo[]
  /** The synthetic datasets, and the text of one of them. */
  examples(): ExampleInfo[]
  example(name: string): string
  estimate(config: RunConfig): Estimate
  /** The form: `given` over `base`, and what a fresh run with it would need. */
  form(
    base: RunConfig,
    given: GivenSettings,
    preset: string,
    kind: DataKind,
    vocabSize: number,
    device: DeviceInfo | null,
  ): FormSettings
  /** Settings for fine-tuning the model of `base`, with `given` over the suggested ones; `chats`: it was trained on conversations. */
  tuning(base: RunConfig, kind: DataKind, chats: boolean, given: GivenSettings): RunConfig
  /** The kind of data in a text with this beginning. */
  kind_of(beginning: string): DataKind
  /** The contents of files as one text. */
  text_of_files(files: [name: string, content: string][]): FoundText
  default_sample(): SampleConfig
  /** What the settings mean, by label. */
  explanations(): Record<string, Explanation>
  /** Bytes of the engine's memory, without GPU memory. */
  memory(): number
  /** Destroys the GPU device, for testing; false if there is none. */
  destroy_device(): boolean
}

/** The answer type of a query. */
export type AnswerTo<T extends Query['type']> = Extract<Answer, { type: T }>

/** Where runs are saved if the browser provides no files. */
export type Place = 'database' | 'page'

/** Page to worker. */
export type Request =
  /** Files the page keeps for the engine, by path. */
  | { kind: 'held'; files: Map<string, Blob> }
  | { kind: 'command'; command: Command }
  | { kind: 'call'; id: number; name: keyof Calls; args: unknown[] }
  | { kind: 'ask'; id: number; query: Query }

/** Worker to page. */
export type Reply =
  | { kind: 'event'; event: Event }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'refused'; id: number; message: string }
  /** The GPU device is lost, with everything in its memory. */
  | { kind: 'lost'; reason: string }
  /** The browser provides no files: they are saved in this place. For `page`, the page must send the files it keeps. */
  | { kind: 'storage'; place: Place }
  /** Asks the page to keep a file for the next worker, or to drop it. */
  | { kind: 'hold'; path: string; content: Blob | null }
  /** The engine did not load or has crashed. */
  | { kind: 'broken'; message: string }
