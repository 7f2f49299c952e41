// What each event of the worker means for the state.

import { addStep, addValidation, emptyCurve } from './curve'
import { remember } from './rate'
import { get, set } from './state'
import type { Event, RunInfo } from './types'

/** Steps until the speed is worth remembering: the first ones compile kernels. */
const SETTLED = 4

export function reduce(event: Event): void {
  const state = get()
  switch (event.type) {
    case 'ready':
      return set({ phase: 'idle', device: event.device, runs: event.runs })
    case 'progress':
      return set({ progress: { stage: event.stage, done: event.done, total: event.total } })
    case 'loaded':
      return loaded(event.info)
    case 'training':
      return set({
        phase: event.running ? 'training' : 'ready',
        step: event.step,
        progress: null,
        ...(event.running ? { stepsNow: 0 } : {}),
      })
    case 'step': {
      const { report } = event
      addStep(state.curve, report.step, report.loss)
      const stepsNow = state.stepsNow + 1
      if (stepsNow % SETTLED === 0 && state.device && state.run && report.tokens_per_second > 0) {
        remember(state.device, state.run.config, report.tokens_per_second)
      }
      const phase = state.phase === 'pausing' ? 'pausing' : 'training'
      return set({ phase, step: report.step, last: report, stepsNow, curve: { ...state.curve }, progress: null })
    }
    case 'evaluated':
      addValidation(state.curve, event.step, event.loss)
      return set({
        validation: { step: event.step, loss: event.loss, bitsPerByte: event.bits_per_byte },
        curve: { ...state.curve },
      })
    case 'live_sample':
      return set({
        live: [...state.live.filter(({ step }) => step !== event.step), { step: event.step, text: event.text }],
      })
    case 'text': {
      const generation = state.generation
      if (generation?.id !== event.id) return
      return set({
        generation: {
          ...generation,
          running: !event.done,
          text: generation.text + event.text,
          tokens: event.tokens,
          tokensPerSecond: event.tokens_per_second,
        },
      })
    }
    case 'saved':
      return state.run?.config.name === event.run ? set({ savedStep: event.step }) : undefined
    case 'runs':
      return set({ runs: event.runs })
    case 'archive':
      return
    case 'checked':
      return set({ checks: [...state.checks, event.report] })
    case 'failed':
      return failed(event.message)
  }
}

/** A model is in the worker: the form shows what it is. */
function loaded(info: RunInfo): void {
  const state = get()
  // The answer to a text for the run at hand says nothing new about its past.
  const same = state.run?.config.name === info.config.name && state.step === info.step && state.phase !== 'preparing'
  const known = state.presets.some(({ name }) => name === state.preset) && info.step === 0
  set({
    phase: 'ready',
    run: info,
    form: structuredClone(info.config),
    base: known ? state.base : structuredClone(info.config),
    preset: known ? state.preset : '',
    estimate: info.estimate,
    problem: null,
    progress: null,
    notice: info.notice,
    stopped: false,
    step: info.step,
    until: same ? Math.max(state.until, info.config.train.steps) : info.config.train.steps,
    ...(same
      ? {}
      : {
          last: null,
          validation: null,
          generation: null,
          live: [],
          liveShown: null,
          curve: emptyCurve(),
          savedStep: state.runs.find(({ name }) => name === info.config.name)?.step ?? null,
        }),
  })
}

function failed(message: string): void {
  const { phase, run, generation, device } = get()
  const rest = phase === 'starting' && !device ? 'broken' : run ? 'ready' : 'idle'
  set({
    error: message,
    phase: phase === 'broken' ? phase : rest,
    progress: null,
    checking: false,
    generation: generation && { ...generation, running: false },
  })
}
