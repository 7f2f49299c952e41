// Finds the settings in which runs differ.

import { SETTINGS, type Setting, written } from '../../state/settings'
import type { RunConfig } from '../../types'

export interface Chip {
  label: string
  value: string
}

interface Compared {
  name: string
  config: RunConfig | null
  /** Label of its text. */
  text: string | undefined
}

/** Settings that follow from others and are not listed. */
const FOLLOWING = ['name', 'model.bos_token_id', 'model.eos_token_id']
const EXTRA: Record<string, string> = { text: 'Text', tokenizer: 'Tokenizer', 'model.vocab_size': 'Vocabulary' }

const path = ({ group, name }: Setting): string => (group === 'run' ? name : `${group}.${name}`)
const known = new Map(SETTINGS.map((setting) => [path(setting), setting]))
/** Order of the chips: the most important settings first. */
const ORDER = [
  ...Object.keys(EXTRA),
  ...SETTINGS.filter(({ basic }) => basic).map(path),
  ...SETTINGS.filter(({ basic }) => !basic).map(path),
]

/** All settings with their paths, such as `train.lr`. */
function leaves(value: unknown, at = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[at, value]]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, at ? `${at}.${key}` : key))
}

/** For each run, the settings that are not the same in all runs. */
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
    const setting = known.get(path)
    return { label: EXTRA[path] ?? setting?.label ?? path.split('.').at(-1) ?? path, value: written(value, setting) }
  }
  return new Map(tables.map(({ name, values }) => [name, differing.map((path) => chip(path, values.get(path)))]))
}
