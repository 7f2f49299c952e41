// Conversations and preference pairs: told from other texts; what is said in them.

import type { DataKind, Message } from '../types'

/** What a text holds, by its first line: as the engine tells it. */
export function kindOf(text: string): DataKind {
  const start = text.search(/\S/)
  if (text[start] !== '{') return 'text'
  const end = text.indexOf('\n', start)
  try {
    const first = JSON.parse(text.slice(start, end < 0 ? undefined : end)) as Record<string, unknown>
    if (['messages', 'conversations'].some((key) => Array.isArray(first[key]))) return 'conversations'
    return ['chosen', 'rejected'].some((key) => first[key] != null) ? 'preferences' : 'text'
  } catch {
    return 'text'
  }
}

/** What the model is given: the system's message first, if there is one. */
export const withSystem = (system: string, said: Message[]): Message[] =>
  system.trim() ? [{ role: 'system', content: system }, ...said] : said
