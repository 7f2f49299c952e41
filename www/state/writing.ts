// Text generation: a single text, several side by side, or a chat answer.

import { withSystem } from './conversations'
import { type DraftChoice, noDraft, speculation } from './draft'
import { send } from './session'
import type { Span } from './spans'
import { type Generation, get, noChat, set } from './state.svelte'
import type { Message, SampleConfig } from '../types'

/** Number of alternatives reported with each drawn token. */
const ALTERNATIVES = 8
let generations = 0

/** Starts a generation from `messages` or token `ids` if given, otherwise from the text of the prompt. */
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
    draftStats: null,
  }
  return { id, running: true, prompt, config, ...empty }
}

export function generate(): void {
  const { sample, prompt } = get()
  if (sample) set({ generation: begin(prompt, sample), error: null })
}

/** Generates several texts at once, each with its own settings. */
export function generateBeside(configs: SampleConfig[]): void {
  const { prompt } = get()
  set({ beside: configs.map((config) => begin(prompt, config)), error: null })
}

/** Generates the same text twice: with a draft and without. */
export function generatePair(prompt: string, config: SampleConfig, draft: DraftChoice): void {
  set({ pair: [draft, noDraft()].map((one) => begin(prompt, config, {}, one)), error: null })
}

/** Continues a text after its first `at` spans with an alternative to the token drawn there. */
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
  // Keep only the last tokens that fit into the context, as in any long text.
  const next = begin(from.prompt, from.config, { ids: ids.slice(-run.config.model.max_position_embeddings) })
  const spans = [...before, span]
  const grown = { ...next, given: from.given, spans, text: spans.map((span) => span.text).join('') }
  const swap = (one: Generation): Generation => (one.id === from.id ? grown : one)
  const { generation, beside } = get()
  set({ generation: generation && swap(generation), beside: beside.map(swap), error: null })
}

/** Sends the messages to the model and starts its answer. */
export function tell(system: string, said: Message[]): void {
  const { sample } = get()
  if (sample) set({ chat: { said, answer: begin('', sample, { messages: withSystem(system, said) }) }, error: null })
}

/** Clears the chat. */
export function clearChat(): void {
  const { answer } = get().chat
  if (answer?.running) cancel(answer.id)
  set({ chat: noChat() })
}

/** Cancels one generation, or all. */
export const cancel = (id: number | null = null): void => send({ type: 'cancel_generate', id })
