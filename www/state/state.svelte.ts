// Everything the page shows, in one place. Actions and events change it; components only read it.

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
  CheckReport,
  DeviceInfo,
  Estimate,
  Guesses,
  Message,
  Preference,
  ProfileReport,
  RunConfig,
  RunInfo,
  RunSummary,
  SampleConfig,
  StepEvent,
  Token,
} from '../types'
import type { ExampleInfo, PresetInfo } from '../engine/wire'

/** The parts of the page, each under its own address. */
export const VIEWS = ['train', 'write', 'chat', 'inside', 'tokens', 'runs', 'learn', 'device'] as const
export type View = (typeof VIEWS)[number]

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

export interface Generation extends Spans {
  id: number
  running: boolean
  prompt: string
  /** The prompt's tokens, as soon as the engine told them. */
  given: Token[]
  config: SampleConfig
  text: string
  tokens: number
  tokensPerSecond: number
  /** Oldest messages of a conversation that the context had no room for. */
  dropped: number
  /** Tokens of the prompt that the model had read before. */
  reused: number
  /** How well a draft guessed, if there was one. */
  guesses: Guesses | null
}

export interface Chat {
  /** What was said before the answer. */
  said: Message[]
  /** The newest one, under way or done; none before the first question. */
  answer: Generation | null
}

export const noChat = (): Chat => ({ said: [], answer: null })

export interface State {
  /** What is looked at. */
  view: View
  /** Whether everything is shown, or what a first visitor needs. */
  expert: boolean
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
  /** The texts that come with the page. */
  examples: ExampleInfo[]
  text: TextChoice
  /** What it is like; none while it is being read. */
  look: Look | null
  estimate: Estimate | null
  /** Why the form cannot be trained, in one line. */
  problem: string | null
  rates: Rates
  /** Whether the speed of what the form describes is still to be known. */
  measuring: boolean

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
  /** How much of the time a GPU computed, measured up to this step. */
  busy: { step: number; share: number } | null
  validation: { step: number; loss: number; bitsPerByte: number; preference: Preference | null } | null
  curve: Curve
  /** What is being done before the first step. */
  progress: { stage: string; done: number; total: number } | null
  live: LiveSample[]
  /** The live sample looked at; none for the newest. */
  liveShown: number | null

  sample: SampleConfig | null
  /** What "reset" goes back to. */
  usualSample: SampleConfig | null
  /** What guesses ahead, wherever the model writes. */
  draft: DraftChoice
  prompt: string
  generation: Generation | null
  /** Samples side by side. */
  beside: Generation[]
  /** A text with a draft and the same without. */
  pair: Generation[]
  chat: Chat

  runs: RunSummary[]
  /** Whether the panel for fine-tuning is open. */
  tuning: boolean
  /** The run of a link that was opened, and the run here that makes it again. */
  shared: { link: Shared; run: string | null } | null
  /** What waits for a yes, because it will take long or much memory. */
  waiting: (() => void) | null
  checking: boolean
  checks: CheckReport[]
  profile: ProfileReport | null
  error: string | null
  notice: string | null
}

/** Every field is replaced, never changed in place: what is shown follows by itself. */
class Page implements State {
  view = $state.raw<View>('train')
  expert = $state.raw(lastMode())
  phase = $state.raw<Phase>('starting')
  requested = $state.raw('auto')
  device = $state.raw<DeviceInfo | null>(null)
  gpuProblem = $state.raw<GpuProblem | null>(null)

  presets = $state.raw<PresetInfo[]>([])
  preset = $state.raw('')
  base = $state.raw<RunConfig | null>(null)
  form = $state.raw<RunConfig | null>(null)
  examples = $state.raw<ExampleInfo[]>([SHAKESPEARE])
  text = $state.raw<TextChoice>({ source: 'embedded', label: '', text: '' })
  look = $state.raw<Look | null>(null)
  estimate = $state.raw<Estimate | null>(null)
  problem = $state.raw<string | null>(null)
  rates = $state.raw(remembered())
  measuring = $state.raw(true)

  run = $state.raw<RunInfo | null>(null)
  step = $state.raw(0)
  until = $state.raw(0)
  stopped = $state.raw(false)
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
  tuning = $state.raw(false)
  shared = $state.raw<State['shared']>(null)
  waiting = $state.raw<State['waiting']>(null)
  checking = $state.raw(false)
  checks = $state.raw<CheckReport[]>([])
  profile = $state.raw<ProfileReport | null>(null)
  error = $state.raw<string | null>(null)
  notice = $state.raw<string | null>(null)
}

export const page = new Page()

export const get = (): Readonly<State> => page

export const set = (change: Partial<State>): void => void Object.assign(page, change)

export const finished = (s: State): boolean => s.run !== null && s.step >= s.run.config.train.steps
export const busy = (s: State): boolean => ['preparing', 'training', 'pausing'].includes(s.phase)
/** Whether the settings may be changed: they belong to a run from its start to its end. */
export const unlocked = (s: State): boolean =>
  s.phase === 'starting' || s.phase === 'idle' || (s.phase === 'ready' && (s.stopped || finished(s)))
/** Whether there is a model that can be asked. */
export const askable = (s: State): boolean => s.run !== null && ['ready', 'training', 'pausing'].includes(s.phase)
/** The step that the run goes on to. */
export const total = (s: State): number => Math.max(s.run?.config.train.steps ?? 0, busy(s) ? s.until : 0, s.step)
export const unsaved = (s: State): boolean => s.run !== null && s.step > (s.savedStep ?? 0)

/** The number of different ids that a tokenizer will have; one while the text is being read. */
export function vocabSize(tokenizer: string, { look }: State): number {
  if (tokenizer === 'byte') return 256
  const size = Number(tokenizer.split(':')[1])
  return size || Math.max(1, look?.different ?? 0)
}

const DEVICES: Record<string, string> = { cpu: 'CPU', webgpu: 'WebGPU', wgpu: 'WebGPU' }

export const deviceKind = (name: string): string => DEVICES[name] ?? name

export function deviceName({ device, phase }: State): string {
  if (!device) return phase === 'broken' ? 'Not available' : 'Starting …'
  const software = device.software ? ' (software, not a graphics card)' : ''
  const adapter = device.adapter && device.adapter !== device.name ? ` · ${device.adapter}` : ''
  return `${deviceKind(device.name)}${adapter}${software}`
}
