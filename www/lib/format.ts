// Formats numbers, sizes and durations for display.

import type { Format } from '../types'

const grouped = new Intl.NumberFormat('en')
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })

/** A number without the digits that a product of decimal fractions adds in binary: 0.0003, not 0.00030000000000000003. */
export const digits = (n: number, places = 12): string => String(Number(n.toPrecision(places)))

/** A number with so many significant digits; large ones are written out: 0.12, 1.0, 140, 1,200. */
export function figure(n: number, places = 2): string {
  const text = n.toPrecision(places)
  return text.includes('e+') && Math.abs(n) < 1e15 ? count(Number(text)) : text
}

export const count = (n: number): string => grouped.format(n)

/** Writes 109,312 exactly, but 124,439,808 as 124M. */
export const compact = (n: number): string => (n < 1e6 ? grouped.format(n) : short.format(n))

export function bytes(n: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB']
  let unit = 0
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000
    unit += 1
  }
  return `${unit && n < 100 ? figure(n) : count(Math.round(n))} ${units[unit]}`
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–'
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`
  const minutes = Math.round(seconds / 60)
  if (seconds < 600) return both(Math.round(seconds), 'min', 's')
  if (minutes < 60) return `${minutes} min`
  return minutes < 48 * 60 ? both(minutes, 'h', 'min') : `${count(Math.round(minutes / 1440))} days`
}
/** A duration in a large unit and, unless it is 0, the rest in a unit that is a sixtieth of it. */
const both = (n: number, large: string, small: string): string =>
  `${Math.floor(n / 60)} ${large}${n % 60 ? ` ${n % 60} ${small}` : ''}`

export const loss = (value: number | null | undefined): string => (value == null ? '–' : value.toFixed(3))

/** A metric's value in the format that the engine gives for it. */
export const measured = (value: number, format: Format): string =>
  format === 'percent' ? percent(value) : value.toFixed(format.decimals)

export const rate = (perSecond: number): string => (perSecond >= 100 ? count(Math.round(perSecond)) : figure(perSecond))

/** A relative error, such as 3.1e-6. */
export const error = (value: number | null | undefined): string =>
  value == null ? 'missing' : value === 0 ? '0' : value.toExponential(1)

export function ago(milliseconds: number): string {
  const seconds = (Date.now() - milliseconds) / 1000
  if (seconds < 90) return 'just now'
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`
  return new Date(milliseconds).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}

export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? '' : 's'}`

/** A probability with useful precision: 42%, 3.1%, < 0.1%. */
export function percent(share: number): string {
  const parts = 100 * share
  if (parts > 0 && parts < 0.1) return '<\u00a00.1%'
  return `${parts >= 9.95 || parts === 0 ? Math.round(parts) : parts.toFixed(1)}%`
}
