import { describe, expect, test } from 'vitest'
import { bytes, digits, duration, error, figure, percent, rate } from './format'

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
    [1e9, '11,574 days'],
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

  test.each([
    [0, '0.0'],
    [0.123, '0.12'],
    [1, '1.0'],
    [99.7, '100'],
    [140, '140'],
    [-1234, '-1,200'],
    [1.4e9, '1,400,000,000'],
    [1.2e-7, '1.2e-7'],
    [1e30, '1.0e+30'],
    [NaN, 'NaN'],
  ])('%d has two significant digits, and no exponent where it can be read', (n, text) => {
    expect(figure(n)).toBe(text)
  })

  test('rounding up to three digits adds no exponent', () => {
    expect([bytes(99_700), bytes(1_960), bytes(2e18), rate(99.7), digits(0.00010000000000000002)]).toEqual([
      '100 KB',
      '2.0 KB',
      '2,000,000 TB',
      '100',
      '0.0001',
    ])
  })

  test('numbers are written as text here only', () => {
    const files = import.meta.glob<string>('/www/**/*.{ts,svelte}', { query: '?raw', import: 'default', eager: true })
    expect(Object.keys(files).length).toBeGreaterThan(100)
    const raw = Object.entries(files).filter(([file, text]) => {
      if (/test\.ts$|\/bench\/|lib\/format\.ts$|number\.ts$/.test(file)) return false
      // Rounding a number that stays one is fine.
      return /\.to(Precision|Exponential)\(/.test(text.replace(/Number\([^()]*(\([^()]*\))?\)[^()]*\)/g, ''))
    })
    expect(raw.map(([file]) => file)).toEqual([])
  })

  test('an error of 0 is 0', () => {
    expect([error(0), error(3.14e-6), error(null)]).toEqual(['0', '3.1e-6', 'missing'])
  })
})
