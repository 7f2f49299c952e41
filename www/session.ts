// The life of the engine: started, listened to, brought back to a run, given its text.

import { download } from './download'
import { Engine } from './engine'
import { choosePreset, freeName } from './form'
import { gpuProblem } from './gpu'
import * as memory from './memory'
import { reduce } from './reduce'
import { chooseText } from './source'
import { type TextChoice, get, set, unlocked } from './state'
import type { Command, Event, GoldenCase, RunConfig } from './types'

let engine: Engine | null = null
/** A run to go back to after the engine was started anew. */
let comeback: string | null = null

/** What was asked for and is not done yet. */
export const pending = {
  /** What follows once a model is loaded and has its text. */
  next: null as 'train' | 'step' | null,
  stopping: false,
  unchecked: [] as GoldenCase[],
}

/** The text of the run at hand; the one under Data may be another by now. */
let corpus: TextChoice | null = null

export const say = (error: unknown): void => set({ error: error instanceof Error ? error.message : String(error) })
export const send = (command: Command): void => engine?.send(command)
export const current = (): Engine | null => engine

/** Makes a new model for this text. */
export function create(config: RunConfig, text: TextChoice): void {
  corpus = text
  send({ type: 'create', config, text: text.text })
}

/** Starts the engine, or starts it anew on another device. */
export async function start(requested: string): Promise<void> {
  engine?.close()
  comeback = get().run?.config.name ?? null
  set({ phase: 'starting', requested, device: null, run: null, generation: null, checking: false, stopped: false })
  const own = new Engine({
    event: (event) => own === engine && receive(event),
    broken: (message) => own === engine && broken(message),
  })
  engine = own
  void gpuProblem().then((problem) => {
    if (own !== engine) return
    set({ gpuProblem: problem })
    own.send({ type: 'init', device: problem && requested === 'auto' ? 'cpu' : requested })
  })
  try {
    const [presets, sample] = await Promise.all([own.call('presets'), own.call('default_sample')])
    set({ presets, sample: get().sample ?? sample })
    if (!get().form) choosePreset(presets[0]?.name ?? '')
  } catch (error) {
    say(error)
  }
}

function broken(message: string): void {
  set({ phase: 'broken', error: `${message} Reload the page to go on from the last saved step.`, progress: null })
}

function receive(event: Event): void {
  reduce(event)
  switch (event.type) {
    case 'ready':
      if (comeback && event.runs.some(({ name }) => name === comeback)) restore(comeback)
      comeback = null
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
    case 'saved':
      keep()
      send({ type: 'runs' })
      break
    case 'archive':
      download(event.name, event.bytes)
      break
    case 'checked':
      checkNext()
      break
    case 'failed':
      pending.next = null
      pending.stopping = false
      pending.unchecked = []
      break
  }
}

/** Gives a loaded model its own text again if the page knows it, then goes on as asked. */
async function loaded(): Promise<void> {
  const run = get().run
  if (!run) return
  if (run.trainable) return proceed()
  const known = await memory.recall(run.config.name)
  if (known) {
    set({ curve: known.curve })
    await chooseText(known.text === null ? 'embedded' : 'paste', known.label, known.text ?? undefined)
  }
  // A model from elsewhere waits until the user has looked at the text it would go on with.
  if (known || pending.next) giveText()
}

function giveText(): void {
  corpus = get().text
  send({ type: 'text', text: corpus.text })
}

function proceed(): void {
  const { step, until } = get()
  const target = pending.next === 'step' ? step + 1 : until
  if (pending.next && target > step) trainUntil(target)
  pending.next = null
}

function trainUntil(until: number): void {
  set({ phase: 'training', stopped: false, stepsNow: 0, until })
  send({ type: 'train', until })
}

/** Remembers the text and the curve of the run at hand. */
function keep(): void {
  const { run, curve } = get()
  if (!run?.trainable || !corpus) return
  const { source, label, text } = corpus
  void memory.remember({ run: run.config.name, label, text: source === 'embedded' ? null : text, curve })
}

/** Once the settings are free, they describe the next run, which needs a name of its own. */
export function freshName(): void {
  const state = get()
  const { form, runs } = state
  if (form && unlocked(state) && runs.some(({ name }) => name === form.name)) {
    set({ form: { ...form, name: freeName(form.name.replace(/-\d+$/, '') || 'run', runs) } })
  }
}

/** Loads a stored run, and trains on if wanted. */
export function restore(run: string, goOn = false): void {
  pending.next = goOn ? 'train' : null
  set({ phase: 'preparing', progress: { stage: `Restoring ${run}`, done: 0, total: 0 }, error: null })
  send({ type: 'restore', run })
}

/** Trains on with the model at hand, once it has its text. */
export function go(what: 'train' | 'step'): void {
  pending.next = what
  if (get().run?.trainable) proceed()
  else giveText()
}

/** Sends the next case to the device, after the one before was answered. */
export function checkNext(): void {
  const golden = pending.unchecked.shift()
  if (golden) send({ type: 'check', golden })
  else set({ checking: false })
}
