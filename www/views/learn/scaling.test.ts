import { expect, test } from 'vitest'
import { KAPLAN, chinchilla, fit, lossOf, plan } from './scaling'

const run = (parameters: number, loss: number) => ({ name: String(parameters), parameters, tokens: 1, loss })

test('a power law is fitted to the best run of each size', () => {
  const law = { scale: 5e6, exponent: 0.11 }
  const runs = [1e4, 1e5, 1e6].map((n) => run(n, lossOf(law, n)))
  const found = fit([run(1e5, 99), ...runs])
  expect(found?.exponent).toBeCloseTo(0.11, 9)
  expect((found?.scale ?? 0) / 5e6).toBeCloseTo(1, 6)
  expect(fit(runs.slice(1)), 'two sizes are not enough').toBeNull()
  expect(fit([run(1e4, 2), run(1e5, 3), run(1e6, 4)]), 'a rising line is not a law').toBeNull()
})

test('the published laws give the published losses', () => {
  // GPT-3's size on Kaplan's law, and Chinchilla's own loss (Hoffmann et al. 2022: 70B parameters, 1.4T tokens).
  expect(Math.abs(lossOf(KAPLAN, 175e9) - 1.604)).toBeLessThan(0.002)
  expect(Math.abs(chinchilla(70e9, 1.4e12) - 1.937)).toBeLessThan(0.002)
})

test('a compute budget is split between parameters and tokens', () => {
  const { parameters, tokens } = plan(6 * 1e6 * 20e6)
  expect(Math.abs(parameters - 1e6)).toBeLessThan(1)
  expect(Math.abs(tokens - 20e6)).toBeLessThan(20)
})
