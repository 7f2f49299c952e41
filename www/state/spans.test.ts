import { expect, test } from 'vitest'
import { drawn } from '../testing/fixtures'
import { type Spans, grow } from './spans'

const EMPTY: Spans = { spans: [], waiting: [] }
const lengths = ({ spans }: Spans): [string, number][] => spans.map((span) => [span.text, span.drawn.length])

test('a text is split by tokens if their texts add up to it', () => {
  expect(lengths(grow(EMPTY, 'the sea', [drawn('the'), drawn(' sea')]))).toEqual([
    ['the', 1],
    [' sea', 1],
  ])
})

test('half a character waits for its other half', () => {
  const half = grow(EMPTY, '', [drawn('\\xC3')])
  expect([lengths(half), half.waiting.length]).toEqual([[], 1])
  expect(lengths(grow(half, 'é', [drawn('\\xA9')]))).toEqual([['é', 2]])
})

test('a WordPiece token is shown as it is written, not as the vocabulary spells it', () => {
  expect(lengths(grow(EMPTY, 'ing', [drawn('##ing')]))).toEqual([['ing', 1]])
})
