// The state of the page. Actions and events change it; components read it.
//
// Fields are replaced, never changed in place, with one exception: reduce.ts appends to the arrays of `curve` and then replaces the object
// around them, because copying a curve at every step would be slow.

import { SHAKESPEARE } from './assets'
import { lastMode } from './choice'
import { type Curve, emptyCurve } from './curve'
import { type DraftChoice, noDraft } from './draft'
import type { GpuProblem } from '../engine/gpu'
import type { LiveSample } from './live'
import type { Look } from './look'
import { type Rates, remembered } from './rate'
import type { Shared } from './share'
import type { Spans } from './spans'
import type {
  DataKind,
  CheckReport,
  DeviceInfo,
  DraftStats,
  Estimate,
  Explanation,
  FormSettings,
  GivenSettings,
  Message,
  ProfileReport,
  RunConfig,
  RunInfo,
  RunSummary,
  SampleConfig,
  StepEvent,
  Token,
} from '../types'
import type { ExampleInfo, PresetInfo } from '../engine/wire'

/** The views, each with its own URL. */
export const VIEWS = ['train', 'write', 'chat', 'inside', 'tokens', 'runs', 'learn', 'device'] as const
export type View = (typeof VIEWS)[number]

/** State of the worker. */
export type Phase =
  | 'starting' // loading the engine, choosing the device
  | 'idle' // no model
  | 'preparing' // creating or loading tokenizer and model
  | 'ready' // a model is loaded and idle
  | 'training'
  | 'pausing' // finishing the current step
  | 'broken'

export interface TextChoice {
  source: 'embedded' | 'paste' | 'file'
  label: string
  text: string
}

export interface Generation extends Spans {
  id: number
  running: boolean
  prompt: string
  /** Tokens of the prompt, once the engine has reported them. */
  given: Token[]
  config: SampleConfig
  text: string
  tokens: number
  tokensPerSecond: number
  /** Number of oldest chat messages dropped because the context was full. */
  dropped: number
  /** Tokens of the prompt that were still in the KV cache. */
  reused: number
  /** Acceptance of the draft, if there was one. */
  draftStats: DraftStats | null
}

export interface Chat {
  /** Messages before the current answer. */
  said: Message[]
  /** The latest answer, running or done; null before the first message. */
  answer: Generation | null
}

export const noChat = (): Chat => ({ said: [], answer: null })

export interface Crash {
  message: string
  /** The run that was open, if resuming it is worth a try, and the step it was training to. */
  run: string | null
  until: number | null
  onCpu: boolean
}

export const noneGiven = (): GivenSettings => ({ model: {}, train: {}, data: {} })

export interface State {
  /** The current view. */
  view: View
  /** Whether “Expert” is on. */
  expert: boolean
  phase: Phase
  /** The device the user chose: `auto`, `webgpu` or `cpu`. */
  requested: string
  device: DeviceInfo | null
  gpuProblem: GpuProblem | null

  presets: PresetInfo[]
  /** Explanations of the settings by label; none before the engine sends them. */
  explanations: Record<string, Explanation>
  preset: string
  /** What the form starts from, the settings given over it, and both with what follows from them. */
  base: RunConfig | null
  given: GivenSettings
  form: RunConfig | null
  /** The values that given settings would have otherwise, by key. */
  defaults: FormSettings['defaults']
  /** Keys of settings for experts that differ from what the preset and the basic settings imply. */
  unusual: string[]
  /** The configuration of a fresh run with the form's settings. */
  fresh: RunConfig | null
  /** Whether the form was changed since the current run was loaded. */
  changed: boolean
  /** The example texts. */
  examples: ExampleInfo[]
  text: TextChoice
  /** The kind of data in the text, as decided by the engine. */
  kind: DataKind
  /** Statistics of the text; null while they are being computed. */
  look: Look | null
  estimate: Estimate | null
  /** Why the form's run cannot be trained, in one line. */
  problem: string | null
  rates: Rates
  /** Whether the speed of the form's run is being measured. */
  measuring: boolean

  run: RunInfo | null
  /** The text of the current run. The text under Data may have changed since. */
  corpus: TextChoice | null
  step: number
  /** The step to train to. */
  until: number
  /** The user stopped the run, which unlocks the settings. */
  stopped: boolean
  /** The step whose loss was not finite, which ended the run, and a kept checkpoint from before. */
  diverged: { step: number; good: number | null } | null
  last: StepEvent | null
  /** Steps since training last started. The first ones compile kernels and do not show the speed. */
  stepsNow: number
  savedStep: number | null
  /** Share of time the GPU was busy, measured up to this step. */
  busy: { step: number; share: number } | null
  validation: { step: number; loss: number; metrics: StepEvent['metrics'] } | null
  curve: Curve
  /** Work in progress before the first step. */
  progress: { stage: string; done: number; total: number } | null
  live: LiveSample[]
  /** Step of the selected live sample; null for the newest. */
  liveShown: number | null

  sample: SampleConfig | null
  /** Default sampling settings. */
  usualSample: SampleConfig | null
  /** The draft for speculative decoding. */
  draft: DraftChoice
  prompt: string
  generation: Generation | null
  /** Samples side by side. */
  beside: Generation[]
  /** The same text with and without a draft. */
  pair: Generation[]
  chat: Chat

  runs: RunSummary[]
  /** Names of the runs that are open in other tabs. */
  elsewhere: string[]
  /** Whether the panel for fine-tuning is open. */
  tuning: boolean
  /** The opened link, its settings as they are possible here, and the run that reproduces it. */
  shared: { link: Shared; here: RunConfig; run: string | null } | null
  /** A heavy action that waits for the user's confirmation. */
  waiting: (() => void) | null
  /** An action that would replace an unsaved model and waits for the user's confirmation. */
  leaving: (() => void) | null
  checking: boolean
  checks: CheckReport[]
  profile: ProfileReport | null
  error: string | null
  notice: string | null
  /** The last crash of the engine, until something is done about it. */
  crash: Crash | null
}

/** The state as Svelte's raw state: replacing a field updates what depends on it. */
class Page implements State {
  view = $state.raw<View>('train')
  expert = $state.raw(lastMode())
  phase = $state.raw<Phase>('starting')
  requested = $state.raw('auto')
  device = $state.raw<DeviceInfo | null>(null)
  gpuProblem = $state.raw<GpuProblem | null>(null)

  presets = $state.raw<PresetInfo[]>([])
  explanations = $state.raw<State['explanations']>({})
  preset = $state.raw('')
  base = $state.raw<RunConfig | null>(null)
  given = $state.raw(noneGiven())
  form = $state.raw<RunConfig | null>(null)
  defaults = $state.raw<State['defaults']>({})
  unusual = $state.raw<string[]>([])
  fresh = $state.raw<RunConfig | null>(null)
  changed = $state.raw(false)
  examples = $state.raw<ExampleInfo[]>([SHAKESPEARE])
  text = $state.raw<TextChoice>({ source: 'embedded', label: '', text: '' })
  kind = $state.raw<DataKind>('text')
  look = $state.raw<Look | null>(null)
  estimate = $state.raw<Estimate | null>(null)
  problem = $state.raw<string | null>(null)
  rates = $state.raw(remembered())
  measuring = $state.raw(true)

  run = $state.raw<RunInfo | null>(null)
  corpus = $state.raw<TextChoice | null>(null)
  step = $state.raw(0)
  until = $state.raw(0)
  stopped = $state.raw(false)
  diverged = $state.raw<State['diverged']>(null)
  last = $state.raw<StepEvent | null>(null)
  stepsNow = $state.raw(0)
  savedStep = $state.raw<number | null>(null)
  busy = $state.raw<State['busy']>(null)
  validation = $state.raw<State['validation']>(null)
  curve = $state.raw<Curve>(emptyCurve())
  progress = $state.raw<State['progress']>(null)
  live = $state.raw<State['live']>([])
  liveShown = $state.raw<number | null>(null)

  sample = $state.raw<SampleConfig | null>(null)
  usualSample = $state.raw<SampleConfig | null>(null)
  draft = $state.raw(noDraft())
  prompt = $state.raw('')
  generation = $state.raw<Generation | null>(null)
  beside = $state.raw<Generation[]>([])
  pair = $state.raw<Generation[]>([])
  chat = $state.raw<Chat>(noChat())

  runs = $state.raw<RunSummary[]>([])
  elsewhere = $state.raw<string[]>([])
  tuning = $state.raw(false)
  shared = $state.raw<State['shared']>(null)
  waiting = $state.raw<State['waiting']>(null)
  leaving = $state.raw<State['leaving']>(null)
  checking = $state.raw(false)
  checks = $state.raw<CheckReport[]>([])
  profile = $state.raw<ProfileReport | null>(null)
  error = $state.raw<string | null>(null)
  notice = $state.raw<string | null>(null)
  crash = $state.raw<Crash | null>(null)
}

export const page = new Page()

export const get = (): Readonly<State> => page

export const set = (change: Partial<State>): void => void Object.assign(page, change)

/** Whether the current run has ended, for good or ill. */
export const over = (s: State): boolean => s.stopped || s.diverged !== null || finished(s)
export const finished = (s: State): boolean => s.run !== null && s.step >= s.run.config.train.steps
export const busy = (s: State): boolean => ['preparing', 'training', 'pausing'].includes(s.phase)
/** Whether the settings may be changed: they are locked from the start of a run to its end. */
export const unlocked = (s: State): boolean =>
  s.phase === 'starting' || s.phase === 'idle' || (s.phase === 'ready' && over(s))
/** Whether there is a next run to speak of: without a current run, or once the form or the text under Data was changed after it. */
export const planned = (s: State): boolean =>
  !s.run || (unlocked(s) && (s.changed || (s.corpus !== null && s.text !== s.corpus)))
/** Whether a model is loaded and can answer queries. */
export const askable = (s: State): boolean =>
  s.run !== null && s.diverged === null && ['ready', 'training', 'pausing'].includes(s.phase)
/** Why the current model can compute nothing, and what to do. */
export const ended = ({ run, diverged }: State): string =>
  run && diverged
    ? `${run.config.name} ended at step ${diverged.step}: its loss is no longer a number. ${
        diverged.good === null
          ? 'No checkpoint from before was saved. Start a new run with a lower learning rate.'
          : `Its checkpoint of step ${diverged.good} is still good.`
      }`
    : ''
/** The last step of the run. */
export const total = (s: State): number => Math.max(s.run?.config.train.steps ?? 0, busy(s) ? s.until : 0, s.step)
/** Whether the current model, or its latest steps, would be lost with the page. */
export const unsaved = (s: State): boolean =>
  s.run !== null && s.diverged === null && (s.savedStep === null || s.step > s.savedStep)

/** Vocabulary size that a tokenizer will have; 1 while the text is being read. */
export function vocabSize(tokenizer: string, { look }: State): number {
  if (tokenizer === 'byte') return 256
  const size = Number(tokenizer.split(':')[1])
  return size || Math.max(1, look?.different ?? 0)
}

const DEVICES: Record<string, string> = { cpu: 'CPU', webgpu: 'WebGPU', wgpu: 'WebGPU' }

export const deviceKind = (name: string): string => DEVICES[name] ?? name

export function deviceName({ device, phase }: State): string {
  if (!device) return phase === 'broken' ? 'Not available' : 'Starting …'
  const software = device.software ? ' (software rendering, no GPU)' : ''
  const adapter = device.adapter && device.adapter !== device.name ? ` · ${device.adapter}` : ''
  return `${deviceKind(device.name)}${adapter}${software}`
}
