// What the user can have the model write: a text, several side by side, an answer.

import { withSystem } from './conversations'
import { type DraftChoice, noDraft, speculation } from './draft'
import { send } from './session'
import type { Span } from './spans'
import { type Generation, get, noChat, set } from './state.svelte'
import type { Message, SampleConfig } from '../types'

/** How many likely tokens are told with each one that is drawn. */
const ALTERNATIVES = 8
let generations = 0

/** Lets the engine go on from the prompt: from `messages` or `ids` where they are given, else from its text. */
function begin(
  prompt: string,
  config: SampleConfig,
  from: { ids?: number[]; messages?: Message[] } = {},
  draft = get().draft,
): Generation {
  const id = ++generations
  send({ type: 'generate', id, prompt, ids: null, ...from, ...speculation(draft), config, alternatives: ALTERNATIVES })
  const empty = {
    given: [],
    spans: [],
    waiting: [],
    text: '',
    tokens: 0,
    tokensPerSecond: 0,
    dropped: 0,
    reused: 0,
    guesses: null,
  }
  return { id, running: true, prompt, config, ...empty }
}

export function generate(): void {
  const { sample, prompt } = get()
  if (sample) set({ generation: begin(prompt, sample), error: null })
}

/** Writes several at once, each with settings of its own. */
export function generateBeside(configs: SampleConfig[]): void {
  const { prompt } = get()
  set({ beside: configs.map((config) => begin(prompt, config)), error: null })
}

/** Writes the same text twice: with a draft, and without. */
export function generatePair(prompt: string, config: SampleConfig, draft: DraftChoice): void {
  set({ pair: [draft, noDraft()].map((one) => begin(prompt, config, {}, one)), error: null })
}

/** Goes on from the first `at` spans of a text with an alternative to the token that was drawn there. */
export function branch(from: Generation, at: number, alternative: number): void {
  const { run } = get()
  const old = from.spans[at]?.drawn[0]
  const [chosen, text] = [old?.alternatives[alternative], old?.continuations[alternative]]
  if (!run || !old || !chosen || text == null) return
  if (from.running) cancel(from.id)
  const before = from.spans.slice(0, at)
  const ids = [...from.given, ...before.flatMap(({ drawn }) => drawn.map((one) => one.token)), chosen.token].map(
    ({ id }) => id,
  )
  const span: Span = { text, drawn: [{ ...old, token: chosen.token, probability: chosen.probability }], chosen: true }
  // What no longer fits into the context is forgotten, as it is in any long text.
  const next = begin(from.prompt, from.config, { ids: ids.slice(-run.config.model.max_position_embeddings) })
  const spans = [...before, span]
  const grown = { ...next, given: from.given, spans, text: spans.map((span) => span.text).join('') }
  const swap = (one: Generation): Generation => (one.id === from.id ? grown : one)
  const { generation, beside } = get()
  set({ generation: generation && swap(generation), beside: beside.map(swap), error: null })
}

/** Says something to the model, which answers. */
export function tell(system: string, said: Message[]): void {
  const { sample } = get()
  if (sample) set({ chat: { said, answer: begin('', sample, { messages: withSystem(system, said) }) }, error: null })
}

/** Forgets the conversation. */
export function clearChat(): void {
  const { answer } = get().chat
  if (answer?.running) cancel(answer.id)
  set({ chat: noChat() })
}

/** Stops one text, or all. */
export const cancel = (id: number | null = null): void => send({ type: 'cancel_generate', id })
