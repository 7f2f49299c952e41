// The first line of a text; the system message of a conversation.

import type { Message } from '../types'

/** The first line that is not blank: by it the engine decides the kind of a text. */
export function firstLine(text: string): string {
  const start = Math.max(0, text.search(/\S/))
  const end = text.indexOf('\n', start)
  return text.slice(start, end < 0 ? undefined : end)
}

/** The messages sent to the model: the system message first, unless it is empty. */
export const withSystem = (system: string, said: Message[]): Message[] =>
  system.trim() ? [{ role: 'system', content: system }, ...said] : said
