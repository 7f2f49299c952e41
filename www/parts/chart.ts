// What a chart of loss curves draws: thinned columns, sensible bounds, and the same in words.

import uPlot from 'uplot'
import { type Curve, smooth } from '../curve'
import { loss } from '../format'

export interface Line {
  name: string
  curve: Curve
  /** A colour of the style sheet. */
  colour?: `--${string}`
  dash?: number[]
}

export const METRICS = { loss: 'Loss', val: 'Validation loss', norm: 'Gradient norm', lr: 'Learning rate' }
export type Metric = keyof typeof METRICS

/** More points than this a screen cannot show. */
const POINTS = 1500

type Column = (number | null)[]
const finite = (value: number | null | undefined): number | null => (value != null && Number.isFinite(value) ? value : null)

/** Every so many-th step, the last, and those that were evaluated. */
function thinned({ steps, val }: Curve): number[] {
  const every = Math.ceil(steps.length / POINTS)
  const kept: number[] = []
  for (let i = 0; i < steps.length; i += 1)
    if (i % every === 0 || i === steps.length - 1 || val[i] !== null) kept.push(i)
  return kept
}

/** One run alone: its figures, their mean, and what was evaluated. Among others: its mean or what was evaluated. */
function columns(curve: Curve, metric: Metric, smoothing: number, alone: boolean): [number[], ...Column[]] {
  const at = thinned(curve)
  const pick = (column: Column): Column => at.map((i) => finite(column[i]))
  const steps = at.map((i) => curve.steps[i] ?? 0)
  if (metric === 'val') return [steps, pick(curve.val)]
  const raw = metric === 'loss' ? curve.train : curve[metric]
  const mean = smooth(raw, metric === 'lr' ? 0 : smoothing)
  return alone ? [steps, pick(raw), pick(mean), metric === 'loss' ? pick(curve.val) : steps.map(() => null)] : [steps, pick(mean)]
}

export function tableOf(lines: Line[], metric: Metric, smoothing: number): uPlot.AlignedData {
  const tables = lines.map(({ curve }) => columns(curve, metric, smoothing, lines.length === 1) as uPlot.AlignedData)
  return tables.length > 1 ? uPlot.join(tables) : (tables[0] ?? [[]])
}

/** A few steps this many times above nearly all others leave the picture instead of flattening it. */
const OUTLIER = 3

/** Of losses only the bold lines count: the faint one may leave the picture. */
export function bounds(data: uPlot.AlignedData, metric: Metric, alone: boolean, log: boolean): [number, number] {
  const bold = data.slice(alone && metric === 'loss' ? 2 : 1) as Column[]
  const values = bold.flat().filter((value): value is number => value !== null && (!log || value > 0))
  if (!values.length) return log ? [0.1, 10] : [0, 1]
  values.sort((a, b) => a - b)
  const [low = 0, usual = 1, most = 1] = [values[0], values[Math.floor(0.99 * (values.length - 1))], values.at(-1)]
  const high = metric === 'norm' && most > OUTLIER * usual ? usual : most
  if (log) return [low / 1.08, high * 1.08]
  const pad = (high - low || Math.abs(high) || 1) * 0.06
  return metric === 'loss' || metric === 'val' ? [Math.max(0, low - pad), high + pad] : [0, high + pad]
}

/** The chart in words, for those who do not see it. */
export function inWords(lines: Line[], smoothing: number): string {
  const sentences = lines.map(({ name, curve: { steps, train, val } }) => {
    const last = steps.length - 1
    if (last < 0) return lines.length > 1 ? `${name}: no losses` : 'No losses yet'
    const mean = smooth(train, smoothing)
    const checked = val.findLast((value) => value !== null)
    const whose = lines.length > 1 ? `${name}: training` : 'Training'
    return (
      `${whose} loss from ${loss(mean[0])} at step ${steps[0]} to ${loss(mean[last])} at step ${steps[last]}` +
      (checked == null ? '' : `, validation loss ${loss(checked)}`)
    )
  })
  return sentences.join('. ')
}

export interface Row {
  step: number
  train: number | undefined
  val: number | null | undefined
  norm: number | undefined
  lr: number | undefined
}

/** A dozen steps of a run. */
export function dozen({ steps, train, val, norm, lr }: Curve): Row[] {
  const every = Math.max(1, Math.ceil(steps.length / 12))
  const places = steps.length > 1 ? [0] : []
  for (let i = every - 1; i < steps.length; i += every) if (i > 0 || steps.length === 1) places.push(i)
  if (places.at(-1) !== steps.length - 1 && steps.length) places.push(steps.length - 1)
  return places.map((i) => ({ step: steps[i] ?? 0, train: train[i], val: val[i], norm: norm[i], lr: lr[i] }))
}
