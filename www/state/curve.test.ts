import { describe, expect, test } from 'vitest'
import { stepReport } from '../testing/fixtures'
import { type Curve, addStep, emptyCurve, upTo, withNaN } from './curve'

describe('a curve with metrics of its own', () => {
  const curve = (): Curve => {
    const curve = emptyCurve()
    addStep(curve, stepReport(1, { metrics: { margin: 0 } }))
    addStep(curve, stepReport(2, { metrics: { margin: 0.5, accuracy: 1 } }))
    return curve
  }

  test('has a column for each, with gaps where a metric is missing', () => {
    expect(curve().metrics).toEqual({ margin: [0, 0.5], accuracy: [NaN, 1] })
  })

  test('loses the steps that are made again', () => {
    const again = curve()
    addStep(again, stepReport(2, { metrics: { margin: 0.25 } }))
    expect(again.steps).toEqual([1, 2])
    expect(again.metrics).toEqual({ margin: [0, 0.25], accuracy: [NaN] })
    expect(upTo(curve(), 1).metrics).toEqual({ margin: [0], accuracy: [NaN] })
  })

  test('is the same after a file, in which null is not a number', () => {
    const file = JSON.parse(JSON.stringify({ ...curve(), norm: [NaN, 1] }))
    expect(file.norm).toEqual([null, 1])
    expect(withNaN(file)).toEqual({ ...curve(), norm: [NaN, 1] })
  })

  test('that an earlier version kept has none, and gains them', () => {
    const kept: Curve = { steps: [1], train: [4], val: [null], norm: [1], lr: [1] }
    addStep(kept, stepReport(2, { metrics: { margin: 0.5 } }))
    expect(kept.metrics).toEqual({ margin: [NaN, 0.5] })
  })
})
