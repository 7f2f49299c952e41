// Scaling laws: the published ones, a fit to measured runs, and the optimal split of a compute budget.

/** Loss of a model of N parameters, as `(scale / N) ^ exponent`. */
export interface PowerLaw {
  scale: number
  exponent: number
}

export interface Measured {
  name: string
  parameters: number
  /** Number of training tokens seen. */
  tokens: number
  loss: number
}

/** Kaplan et al. 2020, equation 1.1: N without embeddings, enough data. */
export const KAPLAN: PowerLaw = { scale: 8.8e13, exponent: 0.076 }

export const lossOf = ({ scale, exponent }: PowerLaw, parameters: number): number => (scale / parameters) ** exponent

/** Hoffmann et al. 2022, equation 10. */
export const chinchilla = (parameters: number, tokens: number): number =>
  1.69 + 406.4 / parameters ** 0.34 + 410.7 / tokens ** 0.28

/** Compute-optimal number of tokens per parameter, approximately (Hoffmann et al. 2022). */
export const TOKENS_PER_PARAMETER = 20

/** Minimum number of distinct sizes for a fit. */
export const ENOUGH = 3

/** The best run of each size, smallest model first. */
export function bestOfEachSize(runs: Measured[]): Measured[] {
  const best = new Map<number, Measured>()
  for (const run of runs) {
    const other = best.get(run.parameters)
    if (!other || run.loss < other.loss) best.set(run.parameters, run)
  }
  return [...best.values()].sort((a, b) => a.parameters - b.parameters)
}

/** Least-squares fit of a line to the logarithms; null for too few sizes or a loss that does not fall. */
export function fit(runs: Measured[]): PowerLaw | null {
  const points = bestOfEachSize(runs).map(({ parameters, loss }) => [Math.log(parameters), Math.log(loss)] as const)
  if (points.length < ENOUGH) return null
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [x, y] = [mean(([x]) => x), mean(([, y]) => y)]
  const exponent = -mean((p) => (p[0] - x) * (p[1] - y)) / mean((p) => (p[0] - x) ** 2)
  return exponent > 0 ? { exponent, scale: Math.exp(x + y / exponent) } : null
}

export interface Plan {
  compute: number
  parameters: number
  tokens: number
}

/** Splits a compute budget by C = 6 N D with D = 20 N. */
export function plan(compute: number): Plan {
  const parameters = Math.sqrt(compute / (6 * TOKENS_PER_PARAMETER))
  return { compute, parameters, tokens: TOKENS_PER_PARAMETER * parameters }
}
