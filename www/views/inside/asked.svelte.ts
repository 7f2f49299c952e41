// A question about what is looked at: asked again whenever the text was looked at anew.

import { untrack } from 'svelte'
import { inOneLine } from '../../error'
import { ask } from '../../session'
import { askable, page } from '../../state.svelte'
import type { Query } from '../../types'
import type { AnswerTo } from '../../wire'
import { inside } from './inside.svelte'

type Of<T extends Query['type']> = Extract<Query, { type: T }>

export interface Asked<T extends Query['type']> {
  /** The last answer; it stays while another is waited for. */
  readonly answer: AnswerTo<T> | null
  readonly asking: boolean
  /** Why there is no newer answer; empty if there is one. */
  readonly problem: string
}

/** To be called while a component is set up. One question at a time: what changes meanwhile is asked afterwards, once. */
export function asked<T extends Query['type']>(question: () => Of<T> | null): Asked<T> {
  let answer = $state.raw<AnswerTo<T> | null>(null)
  let problem = $state('')
  let asking = $state(false)
  let next: Of<T> | null = null

  async function go(): Promise<void> {
    if (asking) return
    asking = true
    while (next) {
      const query: Of<T> = next
      next = null
      try {
        answer = await ask<T>(query)
        problem = ''
      } catch (error) {
        problem = inOneLine(error)
      }
    }
    asking = false
  }
  $effect(() => {
    // Training may have gone on since.
    void inside.seen
    const query = question()
    if (!query || !askable(page)) return
    next = query
    untrack(() => void go())
  })

  return {
    get answer() {
      return answer
    },
    get asking() {
      return asking
    },
    get problem() {
      return problem
    },
  }
}
