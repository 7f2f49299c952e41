import { expect, test } from 'vitest'
import { PRESET } from '../testing/fixtures'
import { type Shared, decode, encode } from './share'

const { description, ...LIKE } = PRESET
const SHARED: Shared = {
  config: LIKE,
  text: { label: 'Shakespeare', embedded: true, sha256: 'ab'.repeat(32), characters: 1000 },
  device: 'cpu',
  losses: [
    [1, 4.2],
    [40, 2.5],
  ],
}
/** Text that is difficult for parsers. */
const WORDS = ['null', '1e999', '-1e999', '-1', '0.5', '9007199254740993', '""', '[]', '{}', '[[1,2]]', '"x"', '}', ',']

/** Random numbers that are the same in every run. */
function randoms(): (bound: number) => number {
  let state = 1
  return (bound) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >> 8) % bound
  }
}

/** Replaces a value, a character or a stretch of a text. */
function damage(text: string, below: (bound: number) => number): string {
  const values = [...text.matchAll(/(?<=[:,[])("[^"]*"|[-\w.]+)/g)]
  const value = values[below(Math.max(values.length, 1))]
  const word = WORDS[below(WORDS.length)] ?? ''
  const at = below(text.length)
  switch (below(4)) {
    case 0:
      return text.slice(0, at) + word + text.slice(at + below(3))
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + below(20))
    default:
      return value ? text.slice(0, value.index) + word + text.slice(value.index + value[0].length) : text
  }
}

async function packed(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'))
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer())
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

/** Whether a value has the fields of `like`, and only finite numbers. */
function fits(value: unknown, like: unknown): boolean {
  if (like === null) return value === null || Number.isFinite(value)
  if (typeof like === 'number') return Number.isFinite(value)
  if (Array.isArray(like)) return Array.isArray(value) && value.every((one) => typeof one === 'string')
  if (typeof like !== 'object') return typeof value === typeof like
  const [fields, known] = [value, like].map((one) => Object.entries(one as object))
  const part = value as Record<string, unknown>
  return fields?.length === known?.length && (known ?? []).every(([key, one]) => fits(part[key], one))
}

/** Opens a link; returns what is wrong with the outcome, and whether it was opened. */
async function outcome(code: string): Promise<{ wrong: string; opened: boolean }> {
  try {
    const shared = await decode(code, LIKE)
    const numbers = shared.losses.flat()
    const good = fits(shared.config, LIKE) && fits(shared.text, SHARED.text) && numbers.every(Number.isFinite)
    return { wrong: good ? '' : JSON.stringify(shared), opened: true }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { wrong: /^This link [^\n]*\.$/.test(message) ? '' : message, opened: false }
  }
}

test('a link opens as what it was made from', async () => {
  expect(await decode(await encode(SHARED), LIKE)).toEqual(SHARED)
})

test('a damaged link opens with settings of the right types, or is refused with a reason', async () => {
  const below = randoms()
  const json = JSON.stringify({ version: 1, ...SHARED })
  const code = await encode(SHARED)
  let opened = 0
  for (let round = 0; round < 3000; round++) {
    const text = damage(below(2) ? json : damage(json, below), below)
    const link = below(4) ? await packed(text) : damage(code, below)
    const result = await outcome(link)
    expect(result.wrong, text).toBe('')
    if (result.opened) opened++
  }
  expect(opened).toBeGreaterThan(300)
})

test('infinite numbers are refused', async () => {
  const json = JSON.stringify({ version: 1, ...SHARED })
  for (const [from, to] of [
    ['"lr":0.001', '"lr":1e999'],
    ['"sliding_window":null', '"sliding_window":-1e999'],
    ['[40,2.5]', '[40,1e999]'],
  ] as const) {
    expect(json).toContain(from)
    const link = await packed(json.replace(from, to))
    await expect(decode(link, LIKE), to).rejects.toThrow(/^This link/)
  }
})
