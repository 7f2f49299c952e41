import { describe, expect, test } from 'vitest'
import { heights, limits, magnitude } from './scale'

const USUAL = Array.from({ length: 40 }, (_, i) => i / 40)

describe('a scale', () => {
  test('ends at the smallest and the largest value', () => {
    expect(limits(USUAL)).toEqual([0, 39 / 40])
    expect(limits([3])).toEqual([3, 3])
    expect(limits([])).toEqual([0, 0])
    expect(limits([5, 5, 5, 5, 5, 5, 5, 5, 5, 9])).toEqual([5, 9])
  })

  test('leaves out one outlier, on either side', () => {
    expect(limits([...USUAL, 1000])[1]).toBeLessThan(1)
    expect(limits([...USUAL, -1000])[0]).toBeGreaterThanOrEqual(0)
    expect(magnitude([...USUAL, -1e9])).toBeLessThan(1)
    expect(limits([...USUAL, NaN, Infinity])).toEqual([0, 39 / 40])
  })

  test('is logarithmic if one bar would flatten the others', () => {
    const even = heights([1, 2, 4])
    expect([even.log, even.of(2)]).toEqual([false, 0.5])
    const bars = heights([...USUAL.map((value) => value + 1), 3000])
    expect(bars.log).toBe(true)
    expect(bars.of(3000)).toBe(1)
    expect(bars.of(1.5)).toBeGreaterThan(0.1)
    expect(bars.of(0)).toBe(0)
  })
})
