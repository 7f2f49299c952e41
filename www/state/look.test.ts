import { describe, expect, test } from 'vitest'
import { firstWords, opening, readText } from './look'

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

test('a file in another encoding is refused by its name', async () => {
  const read = (...bytes: number[]): Promise<string> => readText(new File([new Uint8Array(bytes)], 'a.txt'))
  expect(await read(0x68, 0x69)).toBe('hi')
  await expect(read(0xff, 0xfe, 0x68, 0)).rejects.toThrow('a.txt is UTF-16 text. Open it in an editor')
  await expect(read(0xfe, 0xff, 0, 0x68)).rejects.toThrow('a.txt is UTF-16 text.')
  await expect(read(0x68, 0xe9)).rejects.toThrow('a.txt is not UTF-8 text.')
})
