// The life cycle of the engine: starting it, handling its events, restoring a run, and passing it the text.

import { SHAKESPEARE, shakespeareText } from './assets'
import { upTo } from './curve'
import { download } from '../lib/download'
import { Engine } from '../engine/client'
import { inOneLine } from '../lib/error'
import { choosePreset, freeName, isTaken } from './form'
import { gpuProblem } from '../engine/gpu'
import * as memory from './memory'
import { tellPlace } from './place'
import { type Comeback, leave, mayStartAnew, outcome, watchTraining } from './recovery'
import { reduce } from './reduce'
import { chooseText } from './source'
import { type TextChoice, get, noChat, set, unlocked } from './state.svelte'
import type { Command, Event, FoundText, GoldenCase, Query, RunConfig, RunSummary } from '../types'
import type { AnswerTo } from '../engine/wire'

let engine: Engine | null = null
/** What to restore after the engine was restarted. */
let comeback: Comeback | null = null

/** Requests that are not finished yet. */
export const pending = {
  /** What to do once a model is loaded and has its text. */
  next: null as 'train' | 'step' | null,
  /** The step to train to; null for the run's last step. */
  until: null as number | null,
  /** The run and step a branch starts from. */
  parent: null as { run: string; step: number } | null,
  /** What to do once a model is loaded, instead of giving it its text. */
  instead: null as (() => void) | null,
  stopping: false,
  unchecked: [] as GoldenCase[],
}

/** The text of the current run. The text under Data may have changed since. */
let corpus: TextChoice | null = null
/** The start of the current run, if it started in this browser. */
let origin: memory.Origin | null = null

export const say = (error: unknown): void => set({ error: inOneLine(error) })
export const send = (command: Command): void => engine?.send(command)
export const current = (): Engine | null => engine

/** Sends the engine a query about the current model. */
export function ask<T extends Query['type']>(query: Extract<Query, { type: T }>): Promise<AnswerTo<T>> {
  return engine ? engine.ask(query) : Promise.reject(new Error('The engine is not running. Restart it.'))
}

/** One of the page's example texts. */
export const embedded = (label: string): Promise<string> =>
  label === SHAKESPEARE.name
    ? shakespeareText()
    : engine
      ? engine.call('example', label)
      : Promise.reject(new Error('The engine is not running. Restart it.'))

/** The contents of files, as the engine reads them. */
export const textOf = (files: [name: string, content: string][]): Promise<FoundText> =>
  engine ? engine.call('text_of_files', files) : Promise.reject(new Error('The engine is not running. Restart it.'))

export const chooseEmbedded = (label = SHAKESPEARE.name): Promise<void> =>
  chooseText('embedded', label, embedded(label))

/** Creates a new model for this text. */
export function create(config: RunConfig, text: TextChoice): void {
  corpus = text
  origin = { config, device: get().device?.name ?? '', until: null }
  send({ type: 'create', config, text: text.text })
}

/** Starts a fine-tuning run from the current model, `base`, on this text. Such a run cannot be reproduced from its settings alone. */
export function tune(base: string, config: RunConfig, text: TextChoice): void {
  corpus = text
  origin = null
  send({ type: 'fine_tune', config, text: text.text })
  void memory.describe(config.name, { note: `Fine-tuned from ${base}` })
}

/** Starts or restarts the engine. `why` says why it was lost; null if the user chose another device. */
export async function start(requested: string, why: string | null = null): Promise<void> {
  // An earlier recovery is still waiting: keep it.
  if (comeback) comeback.why = why ?? comeback.why
  else if (engine) comeback = leave(why)
  engine?.close()
  pending.unchecked = []
  const nothing = {
    error: null,
    device: null,
    run: null,
    generation: null,
    beside: [],
    pair: [],
    chat: noChat(),
    checking: false,
    stopped: false,
  }
  set({ phase: 'starting', requested, ...nothing })
  const own: Engine = new Engine({
    event: (event) => own === engine && receive(event),
    broken: (message) => own === engine && broken(message),
    lost: (reason) => own === engine && lost(reason),
    storage: (place) => own === engine && tellPlace(place),
  })
  engine = own
  void gpuProblem().then((problem) => {
    if (own !== engine) return
    set({ gpuProblem: problem })
    own.send({ type: 'init', device: problem && requested === 'auto' ? 'cpu' : requested })
  })
  try {
    const [presets, examples, sample] = await Promise.all([
      own.call('presets'),
      own.call('examples'),
      own.call('default_sample'),
    ])
    set({ presets, examples: [SHAKESPEARE, ...examples], usualSample: sample, sample: get().sample ?? sample })
    if (!get().form) choosePreset(presets[0]?.name ?? '')
  } catch (error) {
    if (own === engine) say(error)
  }
}

/** The engine cannot continue: what was in progress waits for a restart. */
function broken(message: string): void {
  comeback ??= leave(message)
  engine?.close()
  engine = null
  set({ phase: 'broken', error: message, progress: null, generation: null, checking: false })
}

function lost(reason: string): void {
  const { device, requested } = get()
  // The GPU was only measured, and the CPU was faster.
  if (device?.name === 'cpu') return
  const why = `The GPU device was lost: ${reason}.`
  if (mayStartAnew()) void start(requested, why)
  else broken(`${why} This happened several times within minutes, so the engine was not restarted automatically.`)
}

/** Restores what was in progress before the engine was restarted. */
function comeBack(runs: RunSummary[]): void {
  if (!comeback) return
  const { run, until } = comeback
  if (run && runs.some(({ name }) => name === run)) restore(run, { goOn: until !== null })
  else if (run && corpus && origin?.until === null) {
    // The same settings, seed and text create the same model again.
    pending.next = until === null ? null : 'train'
    set({ phase: 'preparing', progress: { stage: 'Preparing', done: 0, total: 0 } })
    create(origin.config, corpus)
  } else return arrived(null)
  pending.until = until
}

/** Reports the result of the recovery. */
function arrived(step: number | null): void {
  const back = comeback
  comeback = null
  if (!back) return
  const { live, validation, why } = back
  if (step !== null) {
    const past = (one: { step: number } | null): boolean => one !== null && one.step <= step
    set({ live: live.filter(past), validation: past(validation) ? validation : null })
  }
  if (why) set({ notice: outcome(back, step) })
}

function receive(event: Event): void {
  watchTraining(event)
  reduce(event)
  switch (event.type) {
    case 'ready':
      comeBack(event.runs)
      freshName()
      break
    case 'loaded':
      void loaded()
      break
    case 'training':
      if (!event.running && pending.stopping) set({ stopped: true })
      if (event.running) break
      pending.stopping = false
      freshName()
      break
    case 'runs':
      freshName()
      break
    case 'gone':
      corpus = origin = null
      freshName()
      break
    case 'adjusted':
      adjusted(event.config)
      break
    case 'saved':
      // Store the details first: the list of runs shows them.
      void keep().then(() => send({ type: 'runs' }))
      void memory.persist()
      break
    case 'archive':
      download(event.name, event.bytes)
      break
    case 'checked':
      checkNext()
      break
    case 'failed':
      if (get().phase !== 'broken') comeback = null
      pending.next = null
      pending.until = null
      pending.parent = null
      pending.instead = null
      pending.stopping = false
      pending.unchecked = []
      break
  }
}

/** Gives a loaded model its own text if the page has stored it, then continues as requested. */
async function loaded(): Promise<void> {
  const run = get().run
  if (!run) return
  const { instead } = pending
  pending.instead = null
  if (instead) return instead()
  if (run.trainable) return proceed()
  // Training must wait until the model has its text, or it is known that there is none.
  set({ phase: 'preparing', progress: { stage: 'Reading the text', done: 0, total: 0 } })
  const { name } = run.config
  const { parent } = pending
  pending.parent = null
  const known = await memory.recall(parent?.run ?? name)
  if (parent) await memory.describe(name, { note: `Branch of ${parent.run} at step ${parent.step}` })
  origin = known?.origin ?? null
  if (origin?.until === null && origin.device !== run.device.name) origin = { ...origin, until: run.step }
  if (known) {
    // Drop the curve after this step: training may go differently from an older checkpoint.
    set({ curve: upTo(known.curve, run.step) })
    await (known.text === null ? chooseEmbedded(known.label) : chooseText('paste', known.label, known.text))
  }
  // An opened model waits until the user has chosen a text to train on.
  if (known || pending.next) return giveText()
  set({ phase: 'ready', progress: null })
  proceed()
}

function giveText(): void {
  corpus = get().text
  set({ phase: 'preparing', progress: { stage: 'Reading the text', done: 0, total: 0 } })
  send({ type: 'text', text: corpus.text })
}

function proceed(): void {
  const { step, until } = get()
  const target = pending.next === 'step' ? step + 1 : (pending.until ?? until)
  if (pending.next && target > step) trainUntil(target)
  pending.next = null
  pending.until = null
  arrived(step)
}

function trainUntil(until: number): void {
  set({ phase: 'training', stopped: false, stepsNow: 0, until })
  send({ type: 'train', until })
}

/** What to store about the current run. */
export function atHand(): memory.Remembered | null {
  const { run, curve } = get()
  if (!run?.trainable || !corpus) return null
  const { source, label, text } = corpus
  return { run: run.config.name, label, text: source === 'embedded' ? null : text, curve, origin }
}

async function keep(): Promise<void> {
  const known = atHand()
  if (known) await memory.remember(known)
}

/** Records that the settings changed: only the steps up to here can be reproduced from the original settings. */
function adjusted(config: RunConfig): void {
  if (origin?.until !== null) return
  const { step } = get()
  origin = step ? { ...origin, until: step } : { ...origin, config }
}

/** Once the settings are unlocked, they describe the next run, which needs a new name. */
export function freshName(): void {
  const state = get()
  const { form } = state
  if (form && unlocked(state) && isTaken(form.name, state)) {
    set({ form: { ...form, name: freeName(form.name.replace(/-\d+$/, '') || 'run', state) } })
  }
}

/** Options for loading a stored run. */
interface Restore {
  /** Resume training immediately. */
  goOn?: boolean
  /** Step of a kept checkpoint; by default the newest. */
  step?: number
  /** Name of a new run branched off here; the original run stays unchanged. */
  branch?: string
}

/** Loads a stored run. */
export function restore(run: string, { goOn = false, step, branch }: Restore = {}): void {
  pending.next = goOn ? 'train' : null
  pending.parent = branch ? { run, step: step ?? get().runs.find(({ name }) => name === run)?.step ?? 0 } : null
  set({ phase: 'preparing', progress: { stage: `Opening ${run}`, done: 0, total: 0 }, error: null })
  send({ type: 'restore', run, step: step ?? null, branch: branch ?? null })
}

/** Continues training the current model, once it has its text. */
export function go(what: 'train' | 'step'): void {
  pending.next = what
  if (get().run?.trainable) proceed()
  else giveText()
}

/** Sends the next golden case to the device after the previous one is done. */
export function checkNext(): void {
  const golden = pending.unchecked.shift()
  if (golden) send({ type: 'check', golden })
  else set({ checking: false })
}
