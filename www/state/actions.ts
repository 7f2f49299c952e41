// User actions. Every action sends a command to the worker or changes the state.

import { goldenCases } from './assets'
import { checkpointIn, isModel } from './folder'
import { filledIn } from './assess'
import { freeName, isTaken } from './form'
import * as memory from './memory'
import { heavy } from './plan'
import { checkNext, create, freshName, go, pending, restore, say, send, textOf, tune } from './session'
import { chooseText } from './source'
import { busy, get, set, unlocked } from './state.svelte'
import { fromFiles } from '../lib/texts'
import type { NamedFile, RunConfig } from '../types'

// ---- training

/** Creates a model from the form and trains it: all steps, one step, or up to step `until`. Asks for confirmation before a heavy run. */
export async function train(
  then: 'train' | 'step' = 'train',
  until: number | null = null,
  sure = false,
): Promise<void> {
  const { form, run, text } = get()
  if (!form) return
  if (!sure && heavy(get()).length) return set({ waiting: () => void train(then, until, true) })
  freshName()
  const name = get().form?.name || freeName('run', get())
  pending.next = then
  pending.until = until
  set({ phase: 'preparing', progress: { stage: 'Preparing', done: 0, total: 0 }, error: null })
  try {
    const config = { ...(await filledIn()).fresh, name }
    set({ form: config })
    create(config, text)
  } catch (error) {
    set({ phase: run ? 'ready' : 'idle', progress: null })
    say(error)
  }
}

/** Starts a run from the weights of `base`, a stored run or the current one, and trains it on the text under Data. */
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

/** Resumes the current run: to its last step, or for `more` steps. */
export function resume(more?: number): void {
  const { run, step } = get()
  if (!run) return
  set({ until: more ? step + more : Math.max(run.config.train.steps, step + 1), error: null })
  go('train')
}

export function step(): void {
  const { run, stopped } = get()
  if (!run || stopped) return void train('step')
  set({ error: null })
  go('step')
}

/** Ends the run: saves it and unlocks the settings. */
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

/** Handles dropped or chosen files: text files become the training text; a zip or checkpoint files are opened as a model. */
export async function takeFile(file: File, others: File[] = []): Promise<void> {
  try {
    if ([file, ...others].some(isModel)) await openFiles([file, ...others])
    else if (/\.zip$/i.test(file.name)) await open(file)
    else if (!unlocked(get()) && get().run?.trainable)
      set({ error: 'The current run already has a text. Stop it before you choose another one.' })
    else {
      const { label, text } = await fromFiles([file, ...others], textOf)
      await chooseText('file', label, text)
    }
  } catch (error) {
    say(error)
  }
}

// ---- runs

/** Opens a zipped checkpoint, written by this page or by Hugging Face transformers. */
export async function open(file: File): Promise<void> {
  if (busy(get())) return say('A run is training. Stop it before you open another model.')
  set({ phase: 'preparing', progress: { stage: `Opening ${file.name}`, done: 0, total: 0 }, error: null })
  send({ type: 'open', name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })
}

/** Opens the files of a checkpoint, written by this page or by Hugging Face transformers. */
export async function openFiles(files: File[]): Promise<void> {
  if (busy(get())) return say('A run is training. Stop it before you open another model.')
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
/** Downloads a stored run as a zip, or the current one in its present state. */
export const exportZip = (run: string | null = null): void => send({ type: 'export', run })

// ---- checking the device

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
