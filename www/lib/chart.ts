// Data for charts: thinned series, axis bounds, and a description in words.

import { type Curve, smooth } from '../state/curve'
import { digits, loss } from './format'
import type { Series } from './Plot.svelte'

export interface Line {
  name: string
  curve: Curve
  /** CSS variable of the colour. */
  colour?: `--${string}`
  dash?: number[]
}

/** What every run has a curve of. */
export const METRICS: Record<string, string> = {
  loss: 'Loss',
  val: 'Validation loss',
  norm: 'Gradient norm',
  lr: 'Learning rate',
}
/** One of those, or the name of one of the run's own metrics. */
export type Metric = string

/** The values of a metric of training, step by step. */
function column({ train, norm, lr, metrics }: Curve, metric: Metric): number[] {
  return { loss: train, norm, lr }[metric] ?? metrics?.[metric] ?? []
}

/** Maximum number of points per curve; a screen shows no more. */
const POINTS = 1500

type Column = (number | null)[]
const finite = (value: number | null | undefined): number | null =>
  value != null && Number.isFinite(value) ? value : null

/** Indices of evenly spaced steps, plus the last step and the evaluated ones. */
function thinned({ steps, val }: Curve): number[] {
  const every = Math.ceil(steps.length / POINTS)
  const kept: number[] = []
  for (let i = 0; i < steps.length; i += 1)
    if (i % every === 0 || i === steps.length - 1 || val[i] !== null) kept.push(i)
  return kept
}

/** For a single run: raw values, smoothed values and validation. For several runs: one curve each, smoothed or validation. */
export function seriesOf(lines: Line[], metric: Metric, smoothing: number): Series[] {
  return lines.flatMap(({ curve, colour = '--train', dash = [] }): Series[] => {
    const at = thinned(curve)
    const xs = at.map((i) => curve.steps[i] ?? 0)
    const pick = (column: Column): Column => at.map((i) => finite(column[i]))
    const checked: Series = { xs, ys: pick(curve.val), colour, width: 2, dash, dots: 7 }
    if (metric === 'val') return [checked]
    const raw = column(curve, metric)
    const mean: Series = { xs, ys: pick(smooth(raw, metric === 'lr' ? 0 : smoothing)), colour, width: 2, dash }
    if (lines.length > 1) return [mean]
    const faint: Series = { xs, ys: pick(raw), colour: '--train-faint', width: 1 }
    return metric === 'loss' ? [faint, mean, { ...checked, colour: '--val' }] : [faint, mean]
  })
}

/** A mark at the last value of a run that ended early. */
export function endOf(lines: Line[], metric: Metric, smoothing: number): Series[] {
  return lines.flatMap(({ curve }): Series[] => {
    const step = curve.steps.at(-1)
    const value = latest(curve, metric, smoothing)
    return step === undefined ? [] : [{ xs: [step], ys: [finite(value)], colour: '--bad', width: 0, dots: 12 }]
  })
}

/** Gradient norms beyond this multiple of the 99th percentile are cut off, so that they do not flatten the curve. */
const OUTLIER = 3

/** Range of the y axis. For losses only the smoothed curves count; raw values may be cut off. */
export function bounds(series: Series[], metric: Metric, alone: boolean, log: boolean): [number, number] {
  const bold = alone && metric === 'loss' ? series.slice(1) : series
  const values = bold.flatMap(({ ys }) => ys).filter((value): value is number => value !== null && (!log || value > 0))
  if (!values.length) return log ? [0.1, 10] : [0, 1]
  values.sort((a, b) => a - b)
  const [low = 0, usual = 1, most = 1] = [values[0], values[Math.floor(0.99 * (values.length - 1))], values.at(-1)]
  const high = metric === 'norm' && most > OUTLIER * usual ? usual : most
  if (log) return [low / 1.08, high * 1.08]
  const pad = (high - low || Math.abs(high) || 1) * 0.06
  if (metric === 'loss' || metric === 'val') return [Math.max(0, low - pad), high + pad]
  return [metric in METRICS ? 0 : low - pad, high + pad]
}

/** Range of the x axis: the first and the last step. */
export function span(series: Series[], log: boolean): [number, number] {
  const ends = series.flatMap(({ xs }) => [xs[0] ?? Infinity, xs.at(-1) ?? -Infinity])
  const [first, last] = [Math.min(...ends), Math.max(...ends)]
  if (!Number.isFinite(first)) return log ? [1, 10] : [0, 100]
  return log ? [Math.max(1, first), Math.max(last, first + 1, 2)] : [first, Math.max(last, first + 1)]
}

/** Steps that matter for the last smoothed value. */
const RECENT = 400

/** The last value of a metric, smoothed as in the chart. */
export function latest(curve: Curve, metric: Metric, smoothing: number): number | null {
  if (metric === 'val') return curve.val.findLast((value) => value !== null) ?? null
  return smooth(column(curve, metric).slice(-RECENT), metric === 'lr' ? 0 : smoothing).at(-1) ?? null
}

/** Formats a learning rate as in the settings (0.0005 or 3e-5), other metrics with three decimals. */
export const written = (value: number | null | undefined, metric: Metric): string =>
  metric === 'lr' && value != null ? digits(value, 3) : loss(value)

/** Description of the chart for screen readers. */
export function inWords(lines: Line[], metric: Metric, smoothing: number): string {
  const sentences = lines.map(({ name, curve }) => {
    const { steps, val } = curve
    const last = steps.length - 1
    if (last < 0) return lines.length > 1 ? `${name}: no losses` : 'No losses yet'
    const checked = val.findLast((value) => value !== null)
    const whose = lines.length > 1 ? `${name}: ` : ''
    if (metric === 'val') return `${name}: latest validation loss ${loss(checked)}`
    const mean = smooth(column(curve, metric), metric === 'lr' ? 0 : smoothing)
    const what = metric === 'loss' ? 'Training loss' : (METRICS[metric] ?? metric)
    const said = `${whose}${whose ? what.toLowerCase() : what} from ${written(mean[0], metric)} at step ${steps[0]} to ${written(mean[last], metric)} at step ${steps[last]}`
    return said + (metric !== 'loss' || checked == null ? '' : `, validation loss ${loss(checked)}`)
  })
  return sentences.join('. ')
}

export interface Row {
  step: number
  train: number | undefined
  val: number | null | undefined
  norm: number | undefined
  lr: number | undefined
  metrics: Record<string, number | undefined>
}

/** About a dozen evenly spaced steps of a run, for the table. */
export function dozen({ steps, train, val, norm, lr, metrics = {} }: Curve): Row[] {
  const every = Math.max(1, Math.ceil(steps.length / 12))
  const places = steps.length > 1 ? [0] : []
  for (let i = every - 1; i < steps.length; i += every) if (i > 0 || steps.length === 1) places.push(i)
  if (places.at(-1) !== steps.length - 1 && steps.length) places.push(steps.length - 1)
  const at = (i: number): Row['metrics'] =>
    Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, values[i]]))
  return places.map((i) => ({
    step: steps[i] ?? 0,
    train: train[i],
    val: val[i],
    norm: norm[i],
    lr: lr[i],
    metrics: at(i),
  }))
}
