// Applies the worker's events to the state.

import { addStep, addValidation, emptyCurve, withNaN } from './curve'
import { noDraft } from './draft'
import { based } from './form'
import { withSample } from './live'
import { withRate } from './rate'
import { grow } from './spans'
import { type Generation, type State, get, noChat, set } from './state.svelte'
import type { Estimate, Event, RunConfig, RunInfo } from '../types'

/** The speed is recorded after this many steps: the first ones compile kernels. */
const SETTLED = 4
/** Steps between further recordings of the speed. */
const AGAIN = 64

/** State of a model that was just loaded, or of no model. */
const nothing = () => ({
  diverged: null,
  last: null,
  busy: null,
  validation: null,
  draft: noDraft(),
  generation: null,
  beside: [],
  pair: [],
  chat: noChat(),
  live: [],
  liveShown: null,
  curve: emptyCurve(),
  savedStep: null,
})

export function reduce(event: Event): void {
  const state = get()
  switch (event.type) {
    case 'ready':
      return set({ phase: 'idle', device: event.device, runs: event.runs })
    case 'progress':
      return set({ progress: { stage: event.stage, done: event.done, total: event.total } })
    case 'loaded':
      return loaded(event.info)
    case 'history':
      return set({ curve: withNaN(event.history.curve), live: event.history.samples })
    case 'gone':
      return set({ phase: 'idle', run: null, corpus: null, stopped: false, step: 0, ...nothing() })
    case 'adjusted':
      return adjusted(event.config, event.estimate)
    case 'training':
      return set({
        phase: event.running ? 'training' : 'ready',
        step: event.step,
        progress: null,
        ...(event.running ? { stepsNow: 0, tuning: false } : {}),
      })
    case 'diverged':
      return set({ diverged: { step: event.step, good: event.good } })
    case 'step': {
      const { report } = event
      addStep(state.curve, report)
      const stepsNow = state.stepsNow + 1
      if (
        (stepsNow === SETTLED || stepsNow % AGAIN === 0) &&
        state.device &&
        state.run &&
        report.tokens_per_second > 0
      ) {
        set({ rates: withRate(state.rates, state.device, state.run.config, report.tokens_per_second) })
      }
      const phase = state.phase === 'pausing' ? 'pausing' : 'training'
      if (report.busy !== null) set({ busy: { step: report.step, share: report.busy } })
      return set({ phase, step: report.step, last: report, stepsNow, curve: { ...state.curve }, progress: null })
    }
    case 'evaluated':
      addValidation(state.curve, event.step, event.loss)
      return set({
        validation: { step: event.step, loss: event.loss, metrics: event.metrics },
        curve: { ...state.curve },
      })
    case 'live_sample':
      return set({ live: withSample(state.live, { step: event.step, text: event.text }) })
    case 'text': {
      const told = (one: Generation): Generation => (one.id === event.id ? written(one, event) : one)
      return set(everywhere(told))
    }
    case 'saved':
      return state.run?.config.name === event.run ? set({ savedStep: event.step }) : undefined
    case 'runs':
      return set({ runs: event.runs })
    case 'archive':
      return
    case 'profiled':
      return set({ profile: event.report })
    case 'checked':
      return set({ checks: [...state.checks, event.report] })
    case 'failed':
      return failed(event.message)
  }
}

/** Applies a change to every text being generated. */
function everywhere(change: (one: Generation) => Generation): Pick<State, 'generation' | 'beside' | 'pair' | 'chat'> {
  const { generation, beside, pair, chat } = get()
  return {
    generation: generation && change(generation),
    beside: beside.map(change),
    pair: pair.map(change),
    chat: { ...chat, answer: chat.answer && change(chat.answer) },
  }
}

/** The generation with a new piece of text. */
function written(generation: Generation, event: Extract<Event, { type: 'text' }>): Generation {
  return {
    ...generation,
    ...grow(generation, event.text, event.drawn),
    running: !event.done,
    given: generation.given.length ? generation.given : event.prompt,
    text: generation.text + event.text,
    tokens: event.tokens,
    tokensPerSecond: event.tokens_per_second,
    dropped: generation.dropped + event.dropped,
    reused: generation.reused + event.reused,
    draftStats: event.draft_stats ?? generation.draftStats,
  }
}

/** A model was loaded: show its settings in the form. */
function loaded(info: RunInfo): void {
  const state = get()
  // If the current run only received its text, its history stays.
  const same =
    state.run?.config.name === info.config.name && state.step === info.step && !state.run.trainable && info.trainable
  const own = state.preset !== '' && state.form?.name === info.config.name && info.step === 0
  const config = formOf(info.config)
  set({
    phase: 'ready',
    run: info,
    ...(own ? { form: config } : { ...based(config), preset: '' }),
    changed: false,
    estimate: info.estimate,
    problem: null,
    progress: null,
    notice: info.notice ?? (same ? state.notice : conversationOver(state)),
    stopped: false,
    step: info.step,
    until: same ? Math.max(state.until, info.config.train.steps) : info.config.train.steps,
    ...(same
      ? {}
      : {
          ...nothing(),
          savedStep: state.runs.find(({ name }) => name === info.config.name)?.step ?? null,
        }),
  })
}

/** The settings of a run, as those of the next one: the tokenizer of an opened model cannot be trained again. */
const formOf = (config: RunConfig): RunConfig => ({
  ...structuredClone(config),
  tokenizer: config.tokenizer || 'char',
})

/** The notice if a model with a chat was replaced. */
function conversationOver({ chat }: State): string | null {
  return chat.said.length ? 'Chat cleared: you switched models.' : null
}

/** The settings of the current run changed. */
function adjusted(config: RunConfig, estimate: Estimate): void {
  const { run, until, given } = get()
  if (!run) return
  const { lr, batch_size, steps } = config.train
  set({
    run: { ...run, config, estimate },
    form: formOf(config),
    given: { ...given, train: { ...given.train, lr, batch_size, steps } },
    estimate,
    until: steps === run.config.train.steps ? until : steps,
  })
}

function failed(message: string): void {
  const { phase, run, device } = get()
  const rest = phase === 'starting' && !device ? 'broken' : run ? 'ready' : 'idle'
  // The end of training is reported before its reason. If training continues, something else failed.
  const goesOn = ['training', 'pausing', 'broken'].includes(phase)
  set({
    error: message,
    phase: goesOn ? phase : rest,
    progress: null,
    checking: false,
    ...everywhere((one) => ({ ...one, running: false })),
  })
}
