import { expect, test } from 'vitest'
import { power, typedNumber } from './number'

test.each([
  ['5,120', 5120],
  ['5120', 5120],
  ['5 120', 5120],
  ['4.38', 4.38],
  ['4,38', 4.38],
  ['2.1e6', 2.1e6],
  ['2.1M', 2.1e6],
  ['25 %', 0.25],
  ['1,234,567', 1234567],
  ['0,250', 0.25],
])('%j is read as %d', (text, value) => {
  expect(typedNumber(text)).toBeCloseTo(value, 9)
})

test.each(['', 'five', '1.2.3', '-', '12 apples'])('%j is not a number', (text) => {
  expect(typedNumber(text)).toBeNaN()
})

test('large numbers are written as powers of ten', () => {
  expect(power(2.23e12)).toBe('2.2 × 10¹²')
})
