// Metrics of a run for the charts: one entry per reported step.

import type { Curve as StoredCurve, StepEvent } from '../types'

export interface Curve {
  steps: number[]
  train: number[]
  /** Validation loss at evaluated steps, else null. */
  val: (number | null)[]
  norm: number[]
  lr: number[]
  /** The objective's metrics by name. Curves kept by earlier versions have none. */
  metrics?: Record<string, number[]>
}

export const emptyCurve = (): Curve => ({ steps: [], train: [], val: [], norm: [], lr: [], metrics: {} })

/** Adds a step, in place: a copy per step would be slow. Steps repeated after a restore replace the old ones. */
export function addStep(curve: Curve, report: StepEvent): void {
  cut(curve, report.step)
  curve.steps.push(report.step)
  curve.train.push(report.loss)
  curve.val.push(null)
  // NaN for a skipped step, whose gradients overflowed f16.
  curve.norm.push(report.grad_norm ?? NaN)
  curve.lr.push(report.lr)
  const metrics = (curve.metrics ??= {})
  for (const [name, value] of Object.entries(report.metrics)) {
    const column = (metrics[name] ??= [])
    while (column.length < curve.steps.length - 1) column.push(NaN)
    column.push(value ?? NaN)
  }
}

/** Sets the validation loss of a reported step, in place. */
export function addValidation(curve: Curve, step: number, loss: number): void {
  const index = curve.steps.lastIndexOf(step)
  if (index >= 0) curve.val[index] = loss
}

/** A curve from a file, in which null stands for what is not a number. */
export function withNaN({ steps, val, metrics, ...columns }: StoredCurve): Curve {
  const numbers = (column: (number | null)[]): number[] => column.map((value) => value ?? NaN)
  const each = <T extends Record<string, (number | null)[]>>(all: T): Record<keyof T, number[]> =>
    Object.fromEntries(Object.entries(all).map(([name, column]) => [name, numbers(column)])) as Record<
      keyof T,
      number[]
    >
  return { steps, val, ...each(columns), metrics: each(metrics) }
}

/** A copy of the curve up to and including a step. */
export function upTo(curve: Curve, step: number): Curve {
  const part = structuredClone(curve)
  cut(part, step + 1)
  return part
}

function cut(curve: Curve, from: number): void {
  const keep = curve.steps.findLastIndex((step) => step < from) + 1
  const { metrics, ...columns } = curve
  for (const column of Object.values(columns)) column.length = keep
  for (const column of Object.values(metrics ?? {})) column.length = Math.min(column.length, keep)
}

/** Exponential moving average with bias correction, so that it starts at the first value. NaN stays NaN. */
export function smooth(values: number[], keep: number): number[] {
  let mean = 0
  let missing = 1
  return values.map((value) => {
    if (Number.isNaN(value)) return value
    mean = keep * mean + (1 - keep) * value
    missing *= keep
    return mean / (1 - missing)
  })
}
