// A query to the engine, repeated when the query or the model changes.

import { Following } from '../../state/following.svelte'
import { ask } from '../../state/session'
import { askable, page } from '../../state/state.svelte'
import type { Answer, Query } from '../../types'
import type { AnswerTo } from '../../engine/wire'

/** Pause after typing, in milliseconds. */
const REST = 150

type Of<T extends Query['type']> = Extract<Query, { type: T }>

export interface Asking<T extends Query['type']> {
  readonly answer: AnswerTo<T> | null
  /** Error message, or empty. */
  readonly problem: string
  /** Step of the model that answered. */
  readonly step: number
  /** Whether the answer belongs to the current query. */
  readonly fresh: boolean
  again(): void
}

/** The step reported by the engine, if the answer contains it. */
const stepOf = (answer: Answer): number | null => (answer.type === 'inspect' ? answer.inspection.step : null)

/**
 * Sends the query that `question` returns, unless it is null, while the view is open. During training the last answer
 * stays until the user updates it, because constantly changing numbers cannot be read.
 */
export function asking<T extends Query['type']>(question: () => Of<T> | null, needsModel = true): Asking<T> {
  let times = $state(0)
  const possible = $derived(page.view === 'learn' && (needsModel ? askable(page) : page.phase !== 'starting'))
  const wanted = $derived.by(() => {
    const query = possible && question()
    return query ? JSON.stringify([page.run?.config.name, times, query]) : ''
  })
  const resting = $derived(needsModel && page.phase === 'ready' ? page.step : -1)

  const following = new Following(async (wanted: string, _resting: number) => {
    const [, , query] = JSON.parse(wanted) as [string, number, Of<T>]
    const { step } = page
    const answer = await ask<T>(query)
    return { wanted, answer, step: stepOf(answer) ?? step }
  }, REST)
  let asked = ''
  $effect(() => {
    if (!wanted || (wanted === asked && resting < 0)) return
    asked = wanted
    following.follow(wanted, resting)
  })
  const gone = $derived((needsModel && !page.run) || (possible && !wanted))

  return {
    get answer() {
      return gone ? null : (following.answer?.answer ?? null)
    },
    get problem() {
      return gone ? '' : (following.problem ?? '')
    },
    get step() {
      return following.answer?.step ?? 0
    },
    get fresh() {
      return following.answer?.wanted === wanted
    },
    again: () => void (times += 1),
  }
}
