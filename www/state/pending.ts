// What the page has asked of the engine and has not received yet.

import type { Origin } from './memory'
import type { TextChoice } from './state.svelte'
import type { GoldenCase } from '../types'

/** What a run starts from. */
interface Start {
  name: string
  corpus: TextChoice
  origin: Origin | null
  note?: string
}

export const nothingPending = () => ({
  /** What to do once a model is loaded and has its text. */
  next: null as 'train' | 'step' | null,
  /** The step to train to; null for the run's last step. */
  until: null as number | null,
  /** The run and step a branch starts from. */
  parent: null as { run: string; step: number } | null,
  /** What to do once a model is loaded, instead of giving it its text. */
  instead: null as (() => void) | null,
  /** The run that is being created. Until it is loaded, the current run is another one. */
  start: null as Start | null,
  /** A notice about it. */
  notice: null as string | null,
  /** The run that is being deleted. */
  doomed: null as string | null,
  stopping: false,
  unchecked: [] as GoldenCase[],
})

/** Requests that are not finished yet. */
export const pending = nothingPending()
