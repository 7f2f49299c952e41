// The engine can go away: the device is lost, or it crashes. What was under way then, how often it is started anew by
// itself, and what is said of it.

import { count } from '../lib/format'
import { type State, get } from './state.svelte'
import type { Event } from '../types'

/** What was under way when the engine went away. */
export interface Comeback {
  run: string | null
  /** The step it was being trained to; none while it waited. */
  until: number | null
  /** What is shown of the run, besides what is remembered of it. */
  live: State['live']
  validation: State['validation']
  /** What happened, in a sentence; none if the user chose another device. */
  why: string | null
}

/** More often than this, within this time, and the device is not to be relied on. */
const MOST = 3
const WITHIN = 5 * 60_000
let starts: number[] = []

/** Whether the engine may be started anew without asking; counts as done if so. */
export function mayStartAnew(now = Date.now()): boolean {
  starts = starts.filter((start) => now - start < WITHIN)
  if (starts.length >= MOST) return false
  starts.push(now)
  return true
}

/** Training that was ended by a failure. The failure is told at once; that the device was lost, a little later. */
let cut: { until: number; at: number } | null = null
const SOON = 2000

/** Listens for training that ends before its time, without a pause; called before the state follows the event. */
export function watchTraining(event: Event): void {
  if (event.type !== 'training') return
  const { phase, until } = get()
  cut = !event.running && phase === 'training' && event.step < until ? { until, at: performance.now() } : null
}

export function leave(why: string | null): Comeback {
  const { run, phase, until, live, validation } = get()
  const failed = cut && performance.now() - cut.at < SOON ? cut.until : null
  return { run: run?.config.name ?? null, until: phase === 'training' ? until : failed, live, validation, why }
}

/** What became of it, in a sentence or two. */
export function outcome({ run, why, until }: Comeback, step: number | null): string {
  if (!run) return `${why} The engine was started anew.`
  if (step === null) return `${why} Nothing of ${run} had been saved; train or open a model.`
  const from = step
    ? `from step ${count(step)}, the last one saved`
    : 'from the beginning, for nothing had been saved yet'
  return until === null ? `${why} ${run} is there again, ${from}.` : `${why} Training goes on ${from}.`
}
