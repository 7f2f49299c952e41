import { expect, test } from 'vitest'
import { type LiveSample, withSample } from './live'

test('of many samples, at most 100 are kept, spread over the run', () => {
  let live: LiveSample[] = []
  for (let step = 50; step <= 50_000; step += 50) live = withSample(live, { step, text: `after ${step}` })
  const steps = live.map(({ step }) => step)
  expect(steps.length).toBeGreaterThan(50)
  expect(steps.length).toBeLessThanOrEqual(100)
  expect(steps.at(-1)).toBe(50_000)
  const gaps = steps.slice(1).map((step, i) => step - (steps[i] ?? 0))
  expect(Math.min(...gaps)).toBeGreaterThan(0)
  expect(Math.max(...gaps)).toBeLessThanOrEqual(2000)
  // A step that is trained again replaces its sample.
  expect(withSample(live, { step: 50_000, text: 'again' })).toHaveLength(steps.length)
})
