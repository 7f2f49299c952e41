// What the user can do. Every action ends in a command to the worker or a change of the state.

import { goldenCases } from './assets'
import { inOneLine } from '../lib/error'
import { checkpointIn, isModel } from './folder'
import { freeName, isTaken, resolved } from './form'
import * as memory from './memory'
import { heavy, seconds } from './plan'
import { withRate } from './rate'
import { ask, checkNext, create, current, freshName, go, pending, restore, say, send, tune } from './session'
import { chooseText } from './source'
import { busy, get, set, unlocked } from './state.svelte'
import { fromFiles } from '../lib/texts'
import type { NamedFile, RunConfig } from '../types'

// ---- training

/** Makes a new model from the form and trains it: to its last step, by one, or up to `until`. A heavy run is asked about first. */
export function train(then: 'train' | 'step' = 'train', until: number | null = null, sure = false): void {
  const { form, text } = get()
  if (!form) return
  if (!sure && heavy(get()).length) return set({ waiting: () => train(then, until, true) })
  freshName()
  const config = resolved({ ...form, name: get().form?.name || freeName('run', get()) })
  pending.next = then
  pending.until = until
  set({ phase: 'preparing', form: config, progress: { stage: 'Preparing', done: 0, total: 0 }, error: null })
  create(config, text)
}

/** Makes a new run that begins as `base`, a stored run or the one at hand, and trains it on the text under Data. */
export function fineTune(base: string, config: RunConfig): void {
  const { run, text } = get()
  const begin = (): void => {
    pending.next = 'train'
    set({ phase: 'preparing', progress: { stage: 'Preparing', done: 0, total: 0 }, error: null })
    tune(base, config, text)
  }
  if (run?.config.name === base) return begin()
  restore(base)
  pending.instead = begin
}

export function pause(): void {
  set({ phase: 'pausing' })
  send({ type: 'pause' })
}

/** Goes on with the model at hand: to its last step, or by `more` steps. */
export function resume(more?: number): void {
  const { run, step } = get()
  if (!run) return
  set({ until: more ? step + more : Math.max(run.config.train.steps, step + 1), error: null })
  go('train')
}

export function step(): void {
  const { run, stopped } = get()
  if (!run || stopped) return train('step')
  set({ error: null })
  go('step')
}

/** Ends the run: it is saved, and the settings are free for another. */
export function stop(): void {
  if (get().phase === 'training') {
    pending.stopping = true
    pause()
  } else {
    set({ stopped: true })
    freshName()
  }
}

// ---- text

/** A text file becomes the text; a zip or the files of a checkpoint become the model. */
export async function takeFile(file: File, others: File[] = []): Promise<void> {
  try {
    if ([file, ...others].some(isModel)) await openFiles([file, ...others])
    else if (/\.zip$/i.test(file.name)) await open(file)
    else if (!unlocked(get()) && get().run?.trainable)
      set({ error: 'The run at hand has its text; stop it before choosing another' })
    else {
      const { label, text } = await fromFiles([file, ...others])
      await chooseText('file', label, text)
    }
  } catch (error) {
    say(error)
  }
}

// ---- runs

/** Opens a zip of a checkpoint: ours, or Hugging Face's. */
export async function open(file: File): Promise<void> {
  if (busy(get())) return say('Training is under way; stop it before opening another model')
  set({ phase: 'preparing', progress: { stage: `Opening ${file.name}`, done: 0, total: 0 }, error: null })
  send({ type: 'open', name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })
}

/** Opens the files of a checkpoint: ours, or Hugging Face's. */
export async function openFiles(files: File[]): Promise<void> {
  if (busy(get())) return say('Training is under way; stop it before opening another model')
  try {
    const folder = checkpointIn(files)
    const name = isTaken(folder.name, get()) ? freeName(folder.name, get()) : folder.name
    set({ phase: 'preparing', progress: { stage: `Opening ${name}`, done: 0, total: 0 }, error: null })
    const read = async (file: File): Promise<NamedFile> => ({
      name: file.name,
      bytes: new Uint8Array(await file.arrayBuffer()),
    })
    send({ type: 'open_files', name, files: await Promise.all(folder.files.map(read)) })
  } catch (error) {
    if (get().phase === 'preparing') set({ phase: get().run ? 'ready' : 'idle', progress: null })
    say(error)
  }
}

export function remove(run: string): void {
  void memory.forget(run)
  send({ type: 'delete', run })
}

export const save = (): void => send({ type: 'save' })
/** Hands out a stored run as a zip, or the one at hand as it is now. */
export const exportZip = (run: string | null = null): void => send({ type: 'export', run })

// ---- the device's arithmetic

export async function check(): Promise<void> {
  set({ checking: true, checks: [], error: null })
  try {
    pending.unchecked = await goldenCases()
    checkNext()
  } catch (error) {
    set({ checking: false })
    say(error)
  }
}

// ---- the form's consequences

/** How long the form stays as it is before its speed is measured. */
const CALM_MS = 300

let asked = 0
let calm: ReturnType<typeof setTimeout> | undefined
/** The engine tries one configuration at a time. */
let measured = Promise.resolve()

/** Asks the engine what the form would cost and whether it can be trained. */
export async function assess(): Promise<void> {
  const { form, text, phase } = get()
  const engine = current()
  if (!engine || !form || phase === 'broken') return
  const own = ++asked
  clearTimeout(calm)
  const config = resolved(form)
  if (seconds(get()) === null) set({ measuring: true })
  try {
    const [estimate, problem] = await Promise.all([
      engine.call('estimate', config.model, config.train, config.data.seq_len),
      engine.call('validate', config),
    ])
    const empty = text.text ? null : 'There is no text yet; choose one under Data'
    if (own !== asked) return
    const measuring = !problem && seconds(get()) === null
    set({ estimate, problem: problem ?? empty, measuring })
    const next = (): Promise<void> => measure(own, config)
    if (measuring) calm = setTimeout(() => (measured = measured.then(next)), CALM_MS)
  } catch (error) {
    if (own === asked) set({ estimate: null, problem: inOneLine(error) })
  }
}

/** Has the engine try how fast it would train, unless something newer was asked meanwhile. */
async function measure(own: number, config: RunConfig): Promise<void> {
  const { device } = get()
  if (own !== asked) return
  if (!device || !unlocked(get())) return set({ measuring: false })
  try {
    const { tokens_per_second: speed } = await ask({ type: 'speed', config })
    if (speed !== null) set({ rates: withRate(get().rates, device, config, speed) })
  } catch {
    // What is wrong with the device or the settings is said when they are used; training measures as well.
  }
  if (own === asked) set({ measuring: false })
}
