// The settings of the page's forms, and how their values are shown. What a setting is, src/config declares.

import { count, digits } from '../lib/format'
import { SETTINGS as DECLARED, type Setting } from '../settings'
import type { RunConfig } from '../types'

export type { Setting }

/** The heading of the settings of adapters. */
export const LORA = 'Adapters (LoRA)'

/** Lists have no field of their own in a form. */
const inGroups = (...groups: string[]): Setting[] =>
  DECLARED.filter(({ group, kind }) => groups.includes(group) && kind !== 'names' && kind !== 'texts')

export const modelSettings = inGroups('model')
export const dataSettings = inGroups('data')
export const trainSettings = inGroups('train', 'run')
export const sampleSettings = inGroups('sample')
/** The settings of a run. */
export const SETTINGS = [...dataSettings, ...modelSettings, ...trainSettings]

/** The setting of a key, which must exist. */
export function settingOf(key: string): Setting {
  const found = DECLARED.find(({ name }) => name === key)
  if (!found) throw new Error(`no setting has the key ${key}`)
  return found
}

/** Whether the setting has an effect in this configuration. */
export function applies({ applies_if: condition }: Setting, config: RunConfig): boolean {
  if (!condition) return true
  const all: Record<string, unknown> = { ...config.model, ...config.data, ...config.train }
  return (String(all[condition.key]) === condition.value) === condition.equal
}

/** A setting's value as text. */
export function written(value: unknown, setting: Pick<Setting, 'choices'> | undefined): string {
  if (value === undefined || value === null) return 'off'
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (typeof value === 'number') return Number.isInteger(value) ? count(value) : digits(value)
  return setting?.choices?.find(([choice]) => choice === value)?.[1] ?? String(value)
}
