// A question to the engine that is asked again when it, or the model, has changed.

import { inOneLine } from '../../error'
import { ask } from '../../session'
import { askable, page } from '../../state.svelte'
import type { Answer, Query } from '../../types'
import type { AnswerTo } from '../../wire'

/** Milliseconds that typing must rest. */
const REST = 150

type Of<T extends Query['type']> = Extract<Query, { type: T }>

export interface Asking<T extends Query['type']> {
  readonly answer: AnswerTo<T> | null
  /** Why there is no answer. */
  readonly problem: string
  /** The step of the model that answered. */
  readonly step: number
  /** Whether the answer is to what is asked now. */
  readonly fresh: boolean
  again(): void
}

/** The step that the engine itself tells, where it does. */
const stepOf = (answer: Answer): number | null => (answer.type === 'inspect' ? answer.inspection.step : null)

/**
 * Asks what `question` gives, unless that is null, while the view is looked at. While steps are being made the
 * last answer stays until the reader asks again: figures that change under one's eyes cannot be read.
 */
export function asking<T extends Query['type']>(question: () => Of<T> | null, needsModel = true): Asking<T> {
  let answer = $state.raw<AnswerTo<T> | null>(null)
  let problem = $state('')
  let step = $state(0)
  let times = $state(0)

  const possible = $derived(page.view === 'learn' && (needsModel ? askable(page) : page.phase !== 'starting'))
  const wanted = $derived.by(() => {
    const query = possible && question()
    return query ? JSON.stringify([page.run?.config.name, times, query]) : ''
  })
  const resting = $derived(needsModel && page.phase === 'ready' ? page.step : -1)
  let asked = { wanted: '', resting: -1 }
  let answered = $state('')

  $effect(() => {
    const own = { wanted, resting }
    if (possible && !wanted) {
      asked = own
      answer = null
      problem = ''
    }
    if (!wanted || (wanted === asked.wanted && (resting < 0 || resting === asked.resting))) return
    const timer = setTimeout(async () => {
      asked = own
      const at = page.step
      const [, , query] = JSON.parse(wanted) as [string, number, Of<T>]
      try {
        const found = await ask<T>(query)
        if (asked !== own) return
        answer = found
        problem = ''
        step = stepOf(found) ?? at
        answered = wanted
      } catch (error) {
        if (asked === own) [answer, problem] = [null, inOneLine(error)]
      }
    }, asked.wanted ? REST : 0)
    return () => clearTimeout(timer)
  })

  return {
    get answer() {
      return needsModel && !page.run ? null : answer
    },
    get problem() {
      return problem
    },
    get step() {
      return step
    },
    get fresh() {
      return answered === wanted && answer !== null
    },
    again: () => void (times += 1),
  }
}
