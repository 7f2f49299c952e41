// Which part of a generated text came from which token.

import type { Drawn } from '../types'

/** A part of a text, and what was drawn for it: one token, or several where they only make sense together. */
export interface Span {
  text: string
  drawn: Drawn[]
  /** Chosen by the reader, not drawn. */
  chosen?: true
}

/** Spans whose text is certain, and tokens that wait for theirs. */
export interface Spans {
  spans: Span[]
  waiting: Drawn[]
}

/**
 * Adds what came: a piece of text, and the tokens drawn since the last one. A token may be half a character or
 * wait for a word at which to stop, so a text belongs to all that waited for it, unless their own texts add up to it.
 */
export function grow({ spans, waiting }: Spans, text: string, drawn: Drawn[]): Spans {
  const all = [...waiting, ...drawn]
  if (text === '') return { spans, waiting: all }
  const same = all.map(({ token }) => token.text).join('') === text
  const grown = same ? all.map((one) => ({ text: one.token.text, drawn: [one] })) : [{ text, drawn: all }]
  return { spans: [...spans, ...grown], waiting: [] }
}
