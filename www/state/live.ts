// What the model wrote on the way.

export interface LiveSample {
  step: number
  text: string
}

/** More than so many nobody looks through. */
const MOST = 100

/** With a new sample, in place of one made at the same step before. Of too many that one goes whose neighbours are nearest to each other. */
export function withSample(live: LiveSample[], sample: LiveSample): LiveSample[] {
  const all = [...live.filter(({ step }) => step !== sample.step), sample]
  if (all.length <= MOST) return all
  const gap = (i: number): number => (all[i + 1]?.step ?? Infinity) - (all[i - 1]?.step ?? -Infinity)
  const superfluous = all.reduce((best, _, i) => (gap(i) < gap(best) ? i : best), 0)
  return all.toSpliced(superfluous, 1)
}
