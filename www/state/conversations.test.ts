import { expect, test } from 'vitest'
import pairs from '../../assets/text/pairs.jsonl?raw'
import shakespeare from '../../assets/text/shakespeare.txt?raw'
import type { Message } from '../types'
import { withSystem } from './conversations'

test('an empty system message is left out', () => {
  const said: Message[] = [{ role: 'user', content: 'x' }]
  expect(withSystem(' ', said)).toEqual(said)
  expect(withSystem('be', said)).toEqual([{ role: 'system', content: 'be' }, ...said])
})

test('the example pairs use only characters of Shakespeare, and fit a window of 64 tokens', () => {
  const known = new Set(shakespeare)
  for (const line of pairs.trim().split('\n')) {
    const pair = JSON.parse(line) as Record<'prompt' | 'chosen' | 'rejected', string>
    expect([...Object.values(pair).join('')].filter((character) => !known.has(character))).toEqual([])
    // The chat template adds 21 tokens, and the last token is not an input.
    for (const answer of [pair.chosen, pair.rejected])
      expect(20 + pair.prompt.length + answer.length).toBeLessThanOrEqual(64)
  }
})
