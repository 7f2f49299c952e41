// Scales of charts that one outlier does not flatten.

/** Share of the values that may be outside a scale on each side. */
const TAIL = 0.02
/** Outliers are cut off if they stretch the scale by more than this factor. */
const STRETCH = 4

/** The smallest and the largest value to draw. Values beyond, if there are any, are outliers. */
export function limits(values: ArrayLike<number>): [number, number] {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort()
  const [low = 0, high = 0] = [sorted[0], sorted.at(-1)]
  const tail = Math.max(1, Math.floor(TAIL * sorted.length))
  const [least = low, most = high] = [sorted[tail], sorted[sorted.length - 1 - tail]]
  const usual = most - least
  if (sorted.length < 8 || usual <= 0) return [low, high]
  return [least - low > STRETCH * usual ? least : low, high - most > STRETCH * usual ? most : high]
}

/** The largest magnitude to draw, above 0. */
export function magnitude(values: ArrayLike<number>): number {
  const [low, high] = limits(values)
  return Math.max(1e-9, -low, high)
}

/** Bars are on a logarithmic scale if the highest is more than this multiple of the median. */
const TALL = 20

/** Heights from 0 to 1 of values that are not negative: in proportion, or on a logarithmic scale if some are far larger than the others. */
export function heights(values: number[]): { log: boolean; of: (value: number) => number } {
  const most = Math.max(1e-9, ...values)
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b)
  const log = most > TALL * (sorted[sorted.length >> 1] ?? most)
  const least = (sorted[0] ?? 1) / 2
  return {
    log,
    of: (value) => (log ? Math.max(0, Math.log(value / least) / Math.log(most / least)) : value / most),
  }
}
