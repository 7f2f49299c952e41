// Links that describe a run: its settings, a hash of its text, and a fingerprint of its loss curve.

import type { Curve } from './curve'
import type { DeviceInfo, RunConfig } from '../types'

export interface Shared {
  config: RunConfig
  text: { label: string; embedded: boolean; sha256: string; characters: number }
  /** Kind of device that trained; empty if nothing was trained. */
  device: string
  /** Some steps and their losses; empty if only settings are shared. */
  losses: [step: number, loss: number][]
  /** Settings of the link that this version of the page does not have; not part of a link. */
  unknown?: string[]
}

/** Version of the link format; other versions are rejected. */
const VERSION = 1
const FINGERPRINT = 16
/** Maximum unpacked size in bytes, larger than any link this page creates. */
const LIMIT = 100_000

export const CUT_OFF = 'This link cannot be read. It was cut off or changed in transit. Ask for it again.'

/** SHA-256 of a text, in hexadecimal. */
export async function sha256(text: string): Promise<string> {
  if (!window.isSecureContext) throw new Error('Links only work on pages opened over https or from localhost.')
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Some losses of a curve up to a step: dense at the start, where a different setting shows first. */
export function fingerprint({ steps, train }: Curve, until = Infinity): Shared['losses'] {
  const last = steps.findLastIndex((step) => step <= until)
  const places = Array.from({ length: FINGERPRINT }, (_, i) => Math.round((last + 1) ** (i / (FINGERPRINT - 1))) - 1)
  return [...new Set(places)].flatMap((at): Shared['losses'] => {
    const [step, loss] = [steps[at], train[at]]
    return step === undefined || loss === undefined || !Number.isFinite(loss)
      ? []
      : [[step, Number(loss.toPrecision(7))]]
  })
}

// ---- the address

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: GenericTransformStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader: ReadableStreamDefaultReader<Uint8Array> = new Blob([bytes]).stream().pipeThrough(stream).getReader()
  const parts: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(new Uint8Array(next.value))
    size += next.value.length
    if (size > LIMIT) throw new Error('too long')
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}

/** Encodes a run for the `share=` part of a URL. */
export async function encode({ unknown, ...shared }: Shared): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify({ version: VERSION, ...shared }))
  const packed = await through(bytes, new CompressionStream('deflate-raw'))
  const base64 = btoa(String.fromCharCode(...packed))
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** Decodes the `share=` part of a URL; `like` is a configuration of this version of the page. Throws an error with a one-line message for the user. */
export async function decode(code: string, like: RunConfig): Promise<Shared> {
  let given: unknown
  try {
    const packed = Uint8Array.from(atob(code.replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0))
    given = JSON.parse(new TextDecoder().decode(await through(packed, new DecompressionStream('deflate-raw'))))
  } catch {
    throw new Error(CUT_OFF)
  }
  const { version, config, text, device, losses } = (given ?? {}) as Record<string, unknown>
  if (version !== VERSION) throw new Error('This link was created by another version of this page and cannot be read.')
  const about: Shared['text'] = { label: '', embedded: false, sha256: '', characters: 0 }
  const pairs = Array.isArray(losses) && losses.length <= FINGERPRINT && losses.every(isPair) ? losses : null
  if (!pairs || typeof device !== 'string') throw new Error(CUT_OFF)
  const unknown: string[] = []
  const known = shaped(config, like, 'config', unknown)
  return {
    config: known,
    text: shaped(text, about, 'text', []),
    device,
    losses: pairs,
    ...(unknown.length ? { unknown } : {}),
  }
}

const isPair = (pair: unknown): pair is [number, number] =>
  Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite)

/** The given value reduced to the fields of `like`; others are added to `unknown`. Throws if their types differ. */
function shaped<T>(given: unknown, like: T, path: string, unknown: string[]): T {
  // JSON's 1e999 is infinite, which is no setting.
  const kind = (value: unknown): string =>
    value === null ? 'null' : typeof value === 'number' && !Number.isFinite(value) ? '' : typeof value
  // An optional number.
  if (like === null && kind(given) === 'number') return given as T
  const words = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string')
  if (kind(given) !== kind(like) || words(given) !== words(like))
    throw new Error(`This link does not fit this version of the page: “${path}” is missing or invalid.`)
  if (words(like)) return given as T
  if (typeof like !== 'object' || like === null) return given as T
  unknown.push(...Object.keys(given as object).filter((key) => !(key in like)))
  const entries = Object.entries(like).map(([key, value]) => [
    key,
    shaped((given as Record<string, unknown>)[key], value, key, unknown),
  ])
  return Object.fromEntries(entries) as T
}

// ---- the comparison

/** Maximum relative difference of the losses, and the reason for it. */
export function tolerance(shared: string, here: DeviceInfo): { share: number; because: string } {
  return shared === here.name
    ? { share: 1e-3, because: 'the same kind of device' }
    : { share: 2e-2, because: 'different kinds of device' }
}

export interface Compared {
  step: number
  shared: number
  here: number
  /** Relative difference. */
  apart: number
  same: boolean
}

/** Compares every shared step that has been trained here too. */
export function compare(losses: Shared['losses'], { steps, train }: Curve, allowed: number): Compared[] {
  return losses.flatMap(([step, shared]) => {
    const here = train[steps.indexOf(step)]
    if (here === undefined) return []
    const apart = Math.abs(here - shared) / Math.abs(shared)
    return [{ step, shared, here, apart, same: apart <= allowed }]
  })
}
