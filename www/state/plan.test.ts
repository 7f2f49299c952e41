import { describe, expect, test } from 'vitest'
import { energy } from './plan'

describe('energy', () => {
  test.each([
    [10, 'under 0.1 Wh'],
    [600, 'about 5.0 Wh'],
    [16_800, 'about 140 Wh'],
    [120_000_000, 'about 1,000 kWh'],
  ])('of %d seconds is %s', (seconds, text) => {
    expect(energy(seconds)).toBe(text)
  })
})
