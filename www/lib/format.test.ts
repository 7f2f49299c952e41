import { describe, expect, test } from 'vitest'
import { duration, error, percent } from './format'

describe('format', () => {
  test.each([
    [0, '0 s'],
    [59, '59 s'],
    [60, '1 min'],
    [61, '1 min 1 s'],
    [119.7, '2 min'],
    [599.7, '10 min'],
    [900, '15 min'],
    [3600, '1 h'],
    [5400, '1 h 30 min'],
    [7 * 86_400, '7 days'],
    [Infinity, '–'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text)
  })

  test.each([
    [0, '0%'],
    [0.0001, '<\u00a00.1%'],
    [0.031, '3.1%'],
    [0.42, '42%'],
    [1, '100%'],
  ])('a share of %d is %s', (share, text) => {
    expect(percent(share)).toBe(text)
  })

  test('an error of 0 is 0', () => {
    expect([error(0), error(3.14e-6), error(null)]).toEqual(['0', '3.1e-6', 'missing'])
  })
})
