// Assigns parts of a generated text to tokens.

import type { Drawn } from '../types'

/** A part of a text and the token drawn for it, or several tokens that only form text together. */
export interface Span {
  text: string
  drawn: Drawn[]
  /** Chosen by the user instead of drawn. */
  chosen?: true
}

/** Spans with their text, and tokens still waiting for theirs. */
export interface Spans {
  spans: Span[]
  waiting: Drawn[]
}

/**
 * Adds a piece of text and the tokens drawn since the last one. A token may be half a character, or may be held back
 * for a stop sequence. So the text belongs to all waiting tokens, unless their own texts add up to it.
 */
export function grow({ spans, waiting }: Spans, text: string, drawn: Drawn[]): Spans {
  const all = [...waiting, ...drawn]
  if (text === '') return { spans, waiting: all }
  const same = all.map(({ token }) => token.text).join('') === text
  const grown = same ? all.map((one) => ({ text: one.token.text, drawn: [one] })) : [{ text, drawn: all }]
  return { spans: [...spans, ...grown], waiting: [] }
}
