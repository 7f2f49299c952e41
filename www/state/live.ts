// Samples generated during training.

export interface LiveSample {
  step: number
  text: string
}

/** Maximum number of samples kept. */
const MOST = 100

/** Adds a sample; one of the same step is replaced. If there are too many, the one with the closest neighbours is removed. */
export function withSample(live: LiveSample[], sample: LiveSample): LiveSample[] {
  const all = [...live.filter(({ step }) => step !== sample.step), sample]
  if (all.length <= MOST) return all
  const gap = (i: number): number => (all[i + 1]?.step ?? Infinity) - (all[i - 1]?.step ?? -Infinity)
  const superfluous = all.reduce((best, _, i) => (gap(i) < gap(best) ? i : best), 0)
  return all.toSpliced(superfluous, 1)
}
