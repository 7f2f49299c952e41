// In which settings runs differ from each other.

import { KNOBS, type Knob, written } from '../../knobs'
import type { RunConfig } from '../../types'

export interface Chip {
  label: string
  value: string
}

interface Compared {
  name: string
  config: RunConfig | null
  /** What its text is called. */
  text: string | undefined
}

/** These follow from the others. */
const FOLLOWING = ['name', 'model.bos_token_id', 'model.eos_token_id']
const EXTRA: Record<string, string> = { text: 'Text', tokenizer: 'Tokenizer', 'model.vocab_size': 'Vocabulary' }

const path = ({ group, name }: Knob): string => (group === 'run' ? name : `${group}.${name}`)
const known = new Map(KNOBS.map((knob) => [path(knob), knob]))
/** What a reader looks for first comes first. */
const ORDER = [
  ...Object.keys(EXTRA),
  ...KNOBS.filter(({ basic }) => basic).map(path),
  ...KNOBS.filter(({ basic }) => !basic).map(path),
]

/** Every setting by its path: `train.lr`. */
function leaves(value: unknown, at = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[at, value]]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, at ? `${at}.${key}` : key))
}

/** By run, the settings that are not the same in all of them. */
export function differences(runs: Compared[]): Map<string, Chip[]> {
  const tables = runs.flatMap(({ name, config, text }) => {
    if (!config) return []
    return [{ name, values: new Map([...leaves(config), ...(text ? [['text', text] as [string, unknown]] : [])]) }]
  })
  const paths = [...new Set(tables.flatMap(({ values }) => [...values.keys()]))]
  const rank = (path: string): number => (ORDER.includes(path) ? ORDER.indexOf(path) : ORDER.length)
  const differing = paths
    .filter((path) => !FOLLOWING.includes(path) && new Set(tables.map(({ values }) => values.get(path))).size > 1)
    .sort((a, b) => rank(a) - rank(b))
  const chip = (path: string, value: unknown): Chip => {
    const knob = known.get(path)
    return { label: EXTRA[path] ?? knob?.label ?? path.split('.').at(-1) ?? path, value: written(value, knob) }
  }
  return new Map(tables.map(({ name, values }) => [name, differing.map((path) => chip(path, values.get(path)))]))
}
