import { expect, test } from 'vitest'
import { repeats } from './recovery'

test('a run that crashes twice at one step repeats itself', () => {
  expect(repeats('tiny-1', 0)).toBe(false)
  expect(repeats('tiny-1', 0)).toBe(true)
  expect(repeats('tiny-1', 5)).toBe(false)
  expect(repeats('tiny-2', 5)).toBe(false)
  // Without a run, nothing would be resumed.
  expect(repeats(null, 0)).toBe(false)
  expect(repeats(null, 0)).toBe(false)
})
