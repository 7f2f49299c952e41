// Detects conversations and preference pairs; adds the system message.

import type { DataKind, Message } from '../types'

/** The kind of a text, decided by its first line with the same rules as the engine's. */
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

/** The messages sent to the model: the system message first, unless it is empty. */
export const withSystem = (system: string, said: Message[]): Message[] =>
  system.trim() ? [{ role: 'system', content: system }, ...said] : said
