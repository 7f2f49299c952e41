// The system message of a conversation.

import type { Message } from '../types'

/** The messages sent to the model: the system message first, unless it is empty. */
export const withSystem = (system: string, said: Message[]): Message[] =>
  system.trim() ? [{ role: 'system', content: system }, ...said] : said
