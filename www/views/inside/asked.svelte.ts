// A query about the inspected text, repeated whenever the text is inspected again.

import { Following } from '../../state/following.svelte'
import { ask } from '../../state/session'
import { askable, page } from '../../state/state.svelte'
import type { Query } from '../../types'
import type { AnswerTo } from '../../engine/wire'
import { inside } from './inside.svelte'

type Of<T extends Query['type']> = Extract<Query, { type: T }>

/** Must be called during component initialization. */
export function asked<T extends Query['type']>(
  question: () => Of<T> | null,
): Following<[query: string, seen: unknown], AnswerTo<T>> {
  const following = new Following((query: string, _seen: unknown) => ask<T>(JSON.parse(query) as Of<T>), 0)
  $effect(() => {
    const query = question()
    // `inside.seen` is part of the question, because training may have continued since the last inspection.
    if (query && askable(page)) following.follow(JSON.stringify(query), inside.seen)
  })
  return following
}
