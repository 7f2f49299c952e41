// User actions. Every action sends a command to the worker or changes the state.

import { goldenCases } from './assets'
import { checkpointIn, isModel } from './folder'
import { filledIn } from './assess'
import { freeName, isTaken } from './form'
import * as memory from './memory'
import { heavy } from './plan'
import { freshName, takeFreeName } from './names'
import { pending } from './pending'
import { checkNext, create, go, load, replacing, say, send, textOf, tune } from './session'
import { chooseText } from './source'
import { busy, get, set, unlocked } from './state.svelte'
import { openElsewhere } from './tabs'
import { fromFiles } from '../lib/texts'
import type { NamedFile, RunConfig } from '../types'

// ---- training

/** Creates a model from the form and trains it: all steps, one step, or up to step `until`. Asks for confirmation before a heavy run. */
export function train(then: 'train' | 'step' = 'train', until: number | null = null): void {
  if (!get().form) return
  const begin = (): void => replacing(() => void createRun(then, until))
  if (heavy(get()).length) set({ waiting: begin })
  else begin()
}

/** Creates the form's model and trains it. */
async function createRun(then: 'train' | 'step', until: number | null): Promise<void> {
  const { form, run, text } = get()
  if (!form) return
  pending.next = then
  pending.until = until
  set({ phase: 'preparing', progress: { stage: 'Preparing', done: 0, total: 0 }, error: null })
  try {
    set({ elsewhere: await openElsewhere(run?.config.name) })
    pending.notice = takeFreeName()
    const { fresh } = await filledIn()
    const { shared } = get()
    set({ form: fresh, shared: shared?.run === form.name ? { ...shared, run: fresh.name } : shared })
    create(fresh, text)
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
  replacing(() => {
    if (run?.config.name === base) return begin()
    load(base)
    pending.instead = begin
  })
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
  if (!run || stopped) return train('step')
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
    if ([file, ...others].some(isModel)) openFiles([file, ...others])
    else if (/\.zip$/i.test(file.name)) open(file)
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
export function open(file: File): void {
  if (busy(get())) return say('A run is training. Stop it before you open another model.')
  replacing(() => {
    set({ phase: 'preparing', progress: { stage: `Opening ${file.name}`, done: 0, total: 0 }, error: null })
    void contents(file).then(({ name, bytes }) => send({ type: 'open', name, bytes }), failed)
  })
}

const contents = async (file: File): Promise<NamedFile> => ({
  name: file.name,
  bytes: new Uint8Array(await file.arrayBuffer()),
})

/** A file could not be read. */
function failed(error: unknown): void {
  set({ phase: get().run ? 'ready' : 'idle', progress: null })
  say(error)
}

/** Opens the files of a checkpoint, written by this page or by Hugging Face transformers. */
export function openFiles(files: File[]): void {
  if (busy(get())) return say('A run is training. Stop it before you open another model.')
  try {
    const folder = checkpointIn(files)
    replacing(() => {
      const name = isTaken(folder.name, get()) ? freeName(folder.name, get()) : folder.name
      set({ phase: 'preparing', progress: { stage: `Opening ${name}`, done: 0, total: 0 }, error: null })
      void Promise.all(folder.files.map(contents)).then((files) => send({ type: 'open_files', name, files }), failed)
    })
  } catch (error) {
    say(error)
  }
}

export function remove(run: string): void {
  pending.doomed = run
  send({ type: 'delete', run })
}

export const save = (): void => send({ type: 'save' })
/** Downloads a stored run as a zip, or the current one in its present state. */
export async function exportZip(run: string | null = null): Promise<void> {
  const known = run === null ? get() : await memory.recall(run)
  const history = known && {
    curve: { ...known.curve, metrics: known.curve.metrics ?? {} },
    samples: known.live ?? [],
  }
  send({ type: 'export', run, ...(history && { history }) })
}

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
