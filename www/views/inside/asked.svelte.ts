// A question about what is looked at: asked again, at once, whenever the text was looked at anew.

import { Following } from '../../state/following.svelte'
import { ask } from '../../state/session'
import { askable, page } from '../../state/state.svelte'
import type { Query } from '../../types'
import type { AnswerTo } from '../../engine/wire'
import { inside } from './inside.svelte'

type Of<T extends Query['type']> = Extract<Query, { type: T }>

/** To be called while a component is set up. */
export function asked<T extends Query['type']>(
  question: () => Of<T> | null,
): Following<[query: string, seen: unknown], AnswerTo<T>> {
  const following = new Following((query: string, _seen: unknown) => ask<T>(JSON.parse(query) as Of<T>), 0)
  $effect(() => {
    const query = question()
    // Training may have gone on since the text was looked at last.
    if (query && askable(page)) following.follow(JSON.stringify(query), inside.seen)
  })
  return following
}
