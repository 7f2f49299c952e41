// The losses of a run, ready for the chart: one entry per step seen.

export interface Curve {
  steps: number[]
  train: number[]
  /** Debiased exponential mean of `train`. */
  smooth: number[]
  /** Where the validation split was evaluated. */
  val: (number | null)[]
}

const KEEP = 0.8

export const emptyCurve = (): Curve => ({ steps: [], train: [], smooth: [], val: [] })

/** Adds a step in place; steps made again after a restore replace the old ones. */
export function addStep(curve: Curve, step: number, loss: number): void {
  cut(curve, step)
  const n = curve.train.length
  // Recover the biased mean from the debiased one, so that nothing else has to be kept.
  const biased = n ? curve.smooth[n - 1]! * (1 - KEEP ** n) : 0
  curve.steps.push(step)
  curve.train.push(loss)
  curve.smooth.push((KEEP * biased + (1 - KEEP) * loss) / (1 - KEEP ** (n + 1)))
  curve.val.push(null)
}

export function addValidation(curve: Curve, step: number, loss: number): void {
  const index = curve.steps.lastIndexOf(step)
  if (index >= 0) curve.val[index] = loss
}

function cut(curve: Curve, from: number): void {
  while (curve.steps.length && curve.steps.at(-1)! >= from) {
    curve.steps.pop()
    curve.train.pop()
    curve.smooth.pop()
    curve.val.pop()
  }
}
