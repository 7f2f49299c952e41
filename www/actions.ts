// What the user can do. Every action ends in a command to the worker or a change of the state.

import { goldenCases } from './assets'
import { freeName, resolved } from './form'
import { readText } from './look'
import * as memory from './memory'
import { checkNext, create, current, freshName, go, pending, say, send } from './session'
import { chooseText } from './source'
import { busy, get, set, unlocked } from './state'

// ---- training

/** Makes a new model from the form and trains it. */
export function train(then: 'train' | 'step' = 'train'): void {
  const { form, text, runs } = get()
  if (!form) return
  freshName()
  const config = resolved({ ...form, name: get().form?.name || freeName('run', runs) }, text.text)
  pending.next = then
  set({ phase: 'preparing', form: config, progress: { stage: 'Preparing', done: 0, total: 0 }, error: null })
  create(config, text)
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

/** A text file becomes the text, a zip becomes the model. */
export async function takeFile(file: File): Promise<void> {
  try {
    if (/\.zip$/i.test(file.name)) await open(file)
    else if (!unlocked(get()) && get().run?.trainable)
      set({ error: 'The run at hand has its text; stop it before choosing another' })
    else await chooseText('file', file.name, await readText(file))
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

export function remove(run: string): void {
  void memory.forget(run)
  send({ type: 'delete', run })
}

export const save = (): void => send({ type: 'save' })
export const exportZip = (): void => send({ type: 'export' })

// ---- sampling

let generations = 0

export function generate(): void {
  const { sample, prompt } = get()
  if (!sample) return
  const id = ++generations
  set({ generation: { id, running: true, prompt, text: '', tokens: 0, tokensPerSecond: 0 }, error: null })
  send({ type: 'generate', id, prompt, config: sample })
}

export const cancel = (): void => send({ type: 'cancel_generate' })

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

let asked = 0

/** Asks the engine what the form would cost and whether it can be trained. */
export async function assess(): Promise<void> {
  const { form, text, phase } = get()
  const engine = current()
  if (!engine || !form || phase === 'broken') return
  const own = ++asked
  const config = resolved(form, text.text)
  try {
    const [estimate, problem] = await Promise.all([
      engine.call('estimate', config.model, config.train.batch_size, config.data.seq_len, config.train.gradient_checkpointing),
      engine.call('validate', config),
    ])
    const empty = text.text ? null : 'There is no text yet; choose one under Data'
    if (own === asked) set({ estimate, problem: problem ?? empty })
  } catch (error) {
    if (own === asked) set({ estimate: null, problem: error instanceof Error ? error.message : String(error) })
  }
}
