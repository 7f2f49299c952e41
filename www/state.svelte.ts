// Everything the page shows, in one place. Actions and events change it; panels only read it.

import { type Curve, emptyCurve } from './curve'
import type { GpuProblem } from './gpu'
import type {
  CheckReport,
  DeviceInfo,
  Estimate,
  RunConfig,
  RunInfo,
  RunSummary,
  SampleConfig,
  StepEvent,
} from './types'
import type { PresetInfo } from './wire'

/** Where the worker is. */
export type Phase =
  | 'starting' // loading the engine, choosing the device
  | 'idle' // no model
  | 'preparing' // tokenizer and model are being made or loaded
  | 'ready' // a model waits
  | 'training'
  | 'pausing' // the step under way is being finished
  | 'broken'

export interface TextChoice {
  source: 'embedded' | 'paste' | 'file'
  label: string
  text: string
}

export interface Generation {
  id: number
  running: boolean
  prompt: string
  text: string
  tokens: number
  tokensPerSecond: number
}

export interface State {
  phase: Phase
  /** What the user asked for: `auto`, `webgpu` or `cpu`. */
  requested: string
  device: DeviceInfo | null
  gpuProblem: GpuProblem | null

  presets: PresetInfo[]
  preset: string
  /** What "reset" goes back to, and what the form holds now. */
  base: RunConfig | null
  form: RunConfig | null
  text: TextChoice
  estimate: Estimate | null
  /** Why the form cannot be trained, in one line. */
  problem: string | null

  run: RunInfo | null
  step: number
  /** The step that training goes on to. */
  until: number
  /** The run is over by the user's word: settings are free again. */
  stopped: boolean
  last: StepEvent | null
  /** Steps made since training last began: the first ones compile kernels and tell nothing of speed. */
  stepsNow: number
  savedStep: number | null
  validation: { step: number; loss: number; bitsPerByte: number } | null
  curve: Curve
  /** What is being done before the first step. */
  progress: { stage: string; done: number; total: number } | null
  live: { step: number; text: string }[]
  /** The live sample looked at; none for the newest. */
  liveShown: number | null

  sample: SampleConfig | null
  prompt: string
  generation: Generation | null

  runs: RunSummary[]
  checking: boolean
  checks: CheckReport[]
  error: string | null
  notice: string | null
}

let state: State = {
  phase: 'starting',
  requested: 'auto',
  device: null,
  gpuProblem: null,
  presets: [],
  preset: '',
  base: null,
  form: null,
  text: { source: 'embedded', label: '', text: '' },
  estimate: null,
  problem: null,
  run: null,
  step: 0,
  until: 0,
  stopped: false,
  last: null,
  stepsNow: 0,
  savedStep: null,
  validation: null,
  curve: emptyCurve(),
  progress: null,
  live: [],
  liveShown: null,
  sample: null,
  prompt: '',
  generation: null,
  runs: [],
  checking: false,
  checks: [],
  error: null,
  notice: null,
}

const watchers: ((state: State) => void)[] = []
let scheduled = false

export const get = (): Readonly<State> => state

/** Changes the state; panels are drawn once, shortly after. */
export function set(change: Partial<State>): void {
  state = { ...state, ...change }
  if (scheduled) return
  scheduled = true
  const draw = (): void => {
    scheduled = false
    for (const watcher of watchers) watcher(state)
  }
  // A tab in the background gets no animation frames, but its title should go on telling the step.
  if (document.hidden) setTimeout(draw, 200)
  else requestAnimationFrame(draw)
}

export function watch(draw: (state: State) => void): void {
  watchers.push(draw)
  draw(state)
}

export const finished = (s: State): boolean => s.run !== null && s.step >= s.run.config.train.steps
export const busy = (s: State): boolean => ['preparing', 'training', 'pausing'].includes(s.phase)
/** Whether the settings may be changed: they belong to a run from its start to its end. */
export const unlocked = (s: State): boolean =>
  s.phase === 'starting' || s.phase === 'idle' || (s.phase === 'ready' && (s.stopped || finished(s)))
export const unsaved = (s: State): boolean => s.run !== null && s.step > (s.savedStep ?? 0)

/** The number of different ids the form's tokenizer will have; none while the text is unknown. */
export function vocabSize(tokenizer: string, characters: number): number {
  if (tokenizer === 'byte') return 256
  const size = Number(tokenizer.split(':')[1])
  return size || Math.max(1, characters)
}
