import { describe, expect, test } from 'vitest'
import { firstWords, opening } from './look'

describe('the beginning of a text', () => {
  test.each([
    ['THE TEMPEST\n\nA ship at sea', 'THE TEMPEST'],
    ['\n  one two three four five six', 'one two three four five'],
    ['{"messages": [{"role": "user", "content": "What is rain?"}, {"role": "assistant"', 'What is rain?'],
    ['{"conversations": [{"from": "human", "value": "Say \\"yes\\"."}]}', 'Say'],
    ['{"prompt": "Name a bird.", "chosen": "An owl."}', 'Name a bird.'],
    ['{"name": 1}', '{"name": 1}'],
  ])('of %j is %j', (text, words) => {
    expect(firstWords(text, 24, 1)).toBe(words)
  })

  test('a preview has an ellipsis only if it was cut', () => {
    expect(opening('hello\n\nworld')).toBe('hello\nworld')
    expect(opening('a'.repeat(300))).toBe(`${'a'.repeat(280)} …`)
  })
})
