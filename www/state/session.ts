// The life cycle of the engine: starting it, handling its events, restoring a run, and passing it the text.

import { SHAKESPEARE, shakespeareText } from './assets'
import { upTo } from './curve'
import { download } from '../lib/download'
import { Engine } from '../engine/client'
import { inOneLine } from '../lib/error'
import { choosePreset } from './form'
import { gpuProblem } from '../engine/gpu'
import * as memory from './memory'
import { freshName, lookAround } from './names'
import { nothingPending, pending } from './pending'
import { tellPlace } from './place'
import { type Comeback, leave, mayStartAnew, outcome, repeats, watchTraining } from './recovery'
import { reduce } from './reduce'
import { chooseText } from './source'
import { tellOthers } from './tabs'
import { type TextChoice, get, noChat, set, unsaved } from './state.svelte'
import type { Command, Event, FoundText, Query, RunConfig, RunSummary } from '../types'
import type { AnswerTo } from '../engine/wire'

let engine: Engine | null = null
/** What to restore after the engine was restarted; after a crash, once the user wishes. */
let comeback: Comeback | null = null

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
  const origin = { config, device: get().device?.name ?? '', until: null }
  pending.start = { name: config.name, corpus: text, origin }
  send({ type: 'create', config, text: text.text })
}

/** Starts a fine-tuning run from the current model, `base`, on this text. Such a run cannot be reproduced from its settings alone. */
export function tune(base: string, config: RunConfig, text: TextChoice): void {
  pending.start = { name: config.name, corpus: text, origin: null, note: `Fine-tuned from ${base}` }
  send({ type: 'fine_tune', config, text: text.text })
}

/** Starts or restarts the engine. `why` says why it was lost; null if the user chose another device. */
export async function start(requested: string, why: string | null = null): Promise<void> {
  // An earlier recovery is still waiting: keep it.
  if (comeback) comeback.why = why ?? comeback.why
  else if (engine) comeback = leave(why)
  engine?.close()
  Object.assign(pending, nothingPending())
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
    const [presets, examples, sample, explanations] = await Promise.all([
      own.call('presets'),
      own.call('examples'),
      own.call('default_sample'),
      own.call('explanations'),
    ])
    set({
      presets,
      explanations,
      examples: [SHAKESPEARE, ...examples],
      usualSample: sample,
      sample: get().sample ?? sample,
    })
    if (!get().form) choosePreset(presets[0]?.name ?? '')
  } catch (error) {
    if (own === engine) say(error)
  }
}

/** The engine cannot continue. A new one takes its place, in which what was in progress is resumed only if the user wishes. */
function broken(message: string): void {
  const { crash, device, requested, step } = get()
  comeback ??= leave(message)
  if (repeats(comeback.run, step)) comeback = { ...comeback, run: null, until: null }
  const { run, until } = comeback
  // An engine that never started, or stops before the user has done anything, would only stop again.
  const anew = device !== null && crash === null
  if (!anew) engine?.close()
  reduce({ type: 'gone' })
  set({ crash: { message, run, until, onCpu: device?.name === 'cpu' }, progress: null, checking: false })
  if (anew) return void start(requested)
  engine = null
  set({ phase: 'broken' })
}

/** Resumes what a crash interrupted, in a new engine on `device` if one is named. */
export function resumeCrashed(device?: string): void {
  set({ crash: null })
  if (device) void start(device)
  else comeBack(get().runs)
}

/** Leaves a crash behind. */
export function dismissCrash(): void {
  comeback = null
  set({ crash: null })
}

function lost(reason: string): void {
  const { device, requested, crash } = get()
  // The GPU was only measured, and the CPU was faster.
  if (device?.name === 'cpu') return
  const why = `The GPU device was lost: ${reason}.`
  if (crash) broken(why)
  else if (mayStartAnew()) void start(requested, why)
  else broken(`${why} This happened several times within minutes, so nothing was resumed automatically.`)
}

/** Restores what was in progress before the engine was restarted. */
function comeBack(runs: RunSummary[]): void {
  if (!comeback || get().crash) return
  const { run, until, corpus } = comeback
  if (run && runs.some(({ name }) => name === run)) load(run, { goOn: until !== null })
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
      void lookAround()
      break
    case 'loaded':
      // It is not what crashed: that is left behind.
      if (get().crash) dismissCrash()
      tellOthers()
      void loaded()
      break
    case 'diverged':
      freshName()
      break
    case 'training':
      if (!event.running && pending.stopping) set({ stopped: true })
      if (event.running) break
      pending.stopping = false
      freshName()
      break
    case 'runs':
      if (pending.doomed !== null && !event.runs.some(({ name }) => name === pending.doomed)) {
        void memory.forget(pending.doomed)
        pending.doomed = null
        tellOthers()
      }
      void lookAround()
      break
    case 'gone':
      origin = null
      freshName()
      break
    case 'adjusted':
      adjusted(event.config)
      break
    case 'saved':
      // Store the details first: the list of runs shows them.
      void keep().then(() => {
        send({ type: 'runs' })
        tellOthers()
      })
      void memory.persist()
      break
    case 'archive':
      download(event.name, event.bytes)
      break
    case 'checked':
      checkNext()
      break
    case 'failed':
      if (!get().crash) comeback = null
      // What failed may be something else than the run that is being created.
      Object.assign(pending, nothingPending(), { start: pending.start })
      break
  }
}

/** Gives a loaded model its own text if the page has stored it, then continues as requested. */
async function loaded(): Promise<void> {
  const { run, notice } = get()
  if (!run) return
  const { instead } = pending
  const begun = run.trainable && pending.start?.name === run.config.name ? pending.start : null
  pending.instead = pending.start = null
  if (pending.notice) set({ notice: notice ? `${pending.notice} ${notice}` : pending.notice })
  pending.notice = null
  if (begun) {
    origin = begun.origin
    if (begun.note) void memory.describe(run.config.name, { note: begun.note })
  }
  if (begun || !run.trainable) set({ corpus: begun?.corpus ?? null })
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
    set({ curve: upTo(known.curve, run.step), live: known.live?.filter(({ step }) => step <= run.step) ?? [] })
    await (known.text === null ? chooseEmbedded(known.label) : chooseText('paste', known.label, known.text))
  }
  // An opened model waits until the user has chosen a text to train on.
  if (known || pending.next) return giveText()
  set({ phase: 'ready', progress: null })
  proceed()
}

function giveText(): void {
  const { text } = get()
  set({ corpus: text, phase: 'preparing', progress: { stage: 'Reading the text', done: 0, total: 0 } })
  send({ type: 'text', text: text.text })
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
  const { run, curve, corpus, live } = get()
  if (!run?.trainable || !corpus) return null
  const { source, label, text } = corpus
  return { run: run.config.name, label, text: source === 'embedded' ? null : text, curve, live, origin }
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

/** Options for loading a stored run. */
interface Restore {
  /** Resume training immediately. */
  goOn?: boolean
  /** Step of a kept checkpoint; by default the newest. */
  step?: number
  /** Name of a new run branched off here; the original run stays unchanged. */
  branch?: string
}

/** Does what replaces the current model, after the user's confirmation if that model is not saved. */
export const replacing = (act: () => void): void => (unsaved(get()) ? set({ leaving: act }) : act())

/** Loads a stored run in place of the current model. */
export const restore = (run: string, options: Restore = {}): void => replacing(() => load(run, options))

/** Loads a stored run. */
export function load(run: string, { goOn = false, step, branch }: Restore = {}): void {
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
