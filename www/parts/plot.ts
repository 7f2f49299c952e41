// Curves in a frame with two axes, drawn on a canvas.

import { styled } from './paint'

export interface Axis {
  low: number
  high: number
  log: boolean
  /** How a value is written; empty where it is not. */
  label: (value: number) => string
  /** Where lines are drawn; round values otherwise. */
  ticks?: number[]
}

export interface Series {
  xs: number[]
  /** None where nothing is known: the curve goes straight on. */
  ys: (number | null)[]
  colour: `--${string}`
  /** Of the curve; 0 for none. */
  width: number
  dash?: number[]
  /** Of a point at each value; none otherwise. */
  dots?: number
}

export interface Frame {
  left: number
  right: number
  top: number
  bottom: number
}

const FONT = 12
/** Between the plot and the canvas's edge: room for labels. */
const [RIGHT, TOP, BOTTOM] = [16, 8, 26]
/** Between two lines, at least. */
const [APART_X, APART_Y] = [72, 34]

/** Where the plot lies in a picture; labels of the y axis stand to its left. */
export const frameOf = (width: number, height: number, left: number): Frame => ({ left, right: width - RIGHT, top: TOP, bottom: height - BOTTOM })

/** Round values between two, about so many. */
export function ticks(low: number, high: number, log: boolean, most: number): number[] {
  if (log && high / low > 5) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.floor(Math.log10(high))]
    const marks = (last - first + 1) * 3 <= most ? [1, 2, 5] : [1]
    const every = Math.max(1, Math.ceil((last - first + 1) / most))
    const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((power) => power % every === 0)
    return powers.flatMap((power) => marks.map((n) => n * 10 ** power)).filter((value) => value >= low && value <= high)
  }
  const rough = (high - low) / Math.max(1, most)
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5].find((n) => n * power >= rough) ?? 10)
  // Counted, not added up, and with a little room: 0.1 + 0.2 is not 0.3.
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)]
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** Where a value lies between `from` and `to`. */
export function place({ low, high, log }: Axis, from: number, to: number): (value: number) => number {
  const along = log ? Math.log : (value: number): number => value
  const [start, width] = [along(low), along(high) - along(low) || 1]
  return (value) => from + ((along(value) - start) / width) * (to - from)
}

/** The value at a place: the way back from `place`. */
export function valueAt({ low, high, log }: Axis, from: number, to: number, at: number): number {
  const share = (at - from) / (to - from)
  return log ? low * (high / low) ** share : low + share * (high - low)
}

export function plot(context: CanvasRenderingContext2D, frame: Frame, x: Axis, y: Axis, series: Series[]): void {
  const { left, right, top, bottom } = frame
  const [toX, toY] = [place(x, left, right), place(y, bottom, top)]
  context.font = `${FONT}px ${styled('--sans')}`
  context.strokeStyle = styled('--line')
  context.fillStyle = styled('--quiet')
  context.lineWidth = 1
  const line = (...points: [number, number, number, number]): void => {
    // On whole pixels lines are sharp.
    const [x1, y1, x2, y2] = points.map((at) => Math.round(at) + 0.5) as [number, number, number, number]
    context.beginPath()
    context.moveTo(x1, y1)
    context.lineTo(x2, y2)
    context.stroke()
  }
  context.textAlign = 'center'
  context.textBaseline = 'top'
  for (const value of x.ticks ?? ticks(x.low, x.high, x.log, (right - left) / APART_X)) {
    line(toX(value), top, toX(value), bottom)
    context.fillText(x.label(value), toX(value), bottom + 8)
  }
  context.textAlign = 'right'
  context.textBaseline = 'middle'
  for (const value of y.ticks ?? ticks(y.low, y.high, y.log, (bottom - top) / APART_Y)) {
    line(left, toY(value), right, toY(value))
    context.fillText(y.label(value), left - 8, toY(value))
  }
  context.save()
  context.beginPath()
  context.rect(left, 0, right - left + RIGHT, bottom)
  context.clip()
  context.lineJoin = 'round'
  for (const one of series) draw(context, one, toX, toY)
  context.restore()
}

function draw(context: CanvasRenderingContext2D, { xs, ys, colour, width, dash = [], dots }: Series, toX: (x: number) => number, toY: (y: number) => number): void {
  const known = xs.flatMap((at, i): [number, number][] => {
    const value = ys[i]
    const point: [number, number] = [toX(at), value == null ? NaN : toY(value)]
    return point.every(Number.isFinite) ? [point] : []
  })
  context.strokeStyle = context.fillStyle = styled(colour)
  context.lineWidth = width
  context.setLineDash(dash)
  if (width) {
    context.beginPath()
    for (const point of known) context.lineTo(...point)
    context.stroke()
  }
  for (const point of dots ? known : []) {
    context.beginPath()
    context.arc(...point, (dots ?? 0) / 2, 0, 2 * Math.PI)
    context.fill()
  }
}
