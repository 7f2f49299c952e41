// Conversations: told from other texts, and what is said in them.

import type { DataKind, Message } from './types'

/** What a text holds, by its first line: as the engine tells it. */
export function kindOf(text: string): DataKind {
  const start = text.search(/\S/)
  if (text[start] !== '{') return 'text'
  const end = text.indexOf('\n', start)
  try {
    const first: unknown = JSON.parse(text.slice(start, end < 0 ? undefined : end))
    const held = (key: string): boolean => Array.isArray((first as Record<string, unknown>)[key])
    return held('messages') || held('conversations') ? 'conversations' : 'text'
  } catch {
    return 'text'
  }
}

/** What the model is given: the system's message first, if there is one. */
export const withSystem = (system: string, said: Message[]): Message[] =>
  system.trim() ? [{ role: 'system', content: system }, ...said] : said
