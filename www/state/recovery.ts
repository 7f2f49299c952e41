// Recovery after the engine is gone, because the device was lost or the engine crashed: what was in progress, how often the engine is
// restarted automatically, and the message about it.

import { count } from '../lib/format'
import { type State, get } from './state.svelte'
import type { Event } from '../types'

/** What was in progress when the engine was lost. */
export interface Comeback {
  run: string | null
  /** The step it was training to; null if it was idle. */
  until: number | null
  /** The text to create it again from. */
  corpus: State['corpus']
  /** Data of the run that is shown but not stored. */
  live: State['live']
  validation: State['validation']
  /** What happened, as a sentence; null if the user chose another device. */
  why: string | null
}

/** More restarts than this within `WITHIN` milliseconds mean that the device is unreliable. */
const MOST = 3
const WITHIN = 5 * 60_000
let starts: number[] = []

/** Whether the engine may be restarted automatically; counts the restart if so. */
export function mayStartAnew(now = Date.now()): boolean {
  starts = starts.filter((start) => now - start < WITHIN)
  if (starts.length >= MOST) return false
  starts.push(now)
  return true
}

/** Training that ended in a failure. The loss of the device is reported a little after the failure. */
let cut: { until: number; at: number } | null = null
const SOON = 2000

/** Detects training that ends early without a pause; must be called before the state is updated. */
export function watchTraining(event: Event): void {
  if (event.type !== 'training') return
  const { phase, until } = get()
  cut = !event.running && phase === 'training' && event.step < until ? { until, at: performance.now() } : null
}

export function leave(why: string | null): Comeback {
  const { run, phase, until, corpus, live, validation } = get()
  const failed = cut && performance.now() - cut.at < SOON ? cut.until : null
  return { run: run?.config.name ?? null, until: phase === 'training' ? until : failed, corpus, live, validation, why }
}

let lastCrash = ''

/** Whether a run has crashed at the same step as the time before: it would do so again. */
export function repeats(run: string | null, step: number): boolean {
  const place = `${run} ${step}`
  const same = run !== null && place === lastCrash
  lastCrash = place
  return same
}

/** The message after a recovery. */
export function outcome({ run, why, until }: Comeback, step: number | null): string {
  if (!run) return `${why} The engine was restarted.`
  if (step === null) return `${why} ${run} had not been saved and is lost. Train or open a model.`
  const from = step
    ? `from step ${count(step)}, the last saved one`
    : 'from the beginning, because nothing had been saved yet'
  return until === null ? `${why} ${run} was restored ${from}.` : `${why} Training continues ${from}.`
}
