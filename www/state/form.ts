// The settings form: a base (a preset, the settings of a link or of a run) and the settings given over it. What follows from them, the
// engine decides (assess.ts).

import { type State, get, noneGiven, set } from './state.svelte'
import type { Setting } from './settings'
import type { GivenSettings, RunConfig } from '../types'

type Named = Pick<State, 'runs' | 'run' | 'elsewhere'>

/** Whether a stored run, the current run or one in another tab has this name. Those that are open are listed only once they were saved. */
export const isTaken = (name: string, { runs, run, elsewhere }: Named): boolean =>
  run?.config.name === name || elsewhere.includes(name) || runs.some((stored) => stored.name === name)

/** The first unused name of `tiny-1`, `tiny-2`, … */
export function freeName(stem: string, named: Named): string {
  for (let n = 1; ; n += 1) if (!isTaken(`${stem}-${n}`, named)) return `${stem}-${n}`
}

/** A free name for a run that fine-tunes `base`. */
export const tuningName = (base: string, named: Named): string =>
  freeName(`${base.replace(/-tuned-\d+$/, '')}-tuned`, named)

/** The form with this base and nothing given. */
export const based = (base: RunConfig): Pick<State, 'base' | 'form' | 'given' | 'defaults' | 'changed'> => ({
  base,
  form: structuredClone(base),
  given: noneGiven(),
  defaults: {},
  changed: true,
})

export function choosePreset(preset: string): void {
  const found = get().presets.find(({ name }) => name === preset)
  if (!found) return
  const { description, ...config } = structuredClone(found)
  set({ preset, ...based({ ...config, name: freeName(preset, get()) }) })
}

type Group = Record<string, unknown>

/** The object that has the setting. */
const group = (all: RunConfig | GivenSettings, { group }: Setting): Group =>
  (group === 'run' ? all : all[group as 'model' | 'data' | 'train']) as unknown as Group

/** The value to show: the given one at once, whatever follows when the engine has answered. */
export function settingValue({ form, given }: Pick<State, 'form' | 'given'>, setting: Setting): unknown {
  const value = group(given, setting)[setting.name]
  return value === undefined && form ? group(form, setting)[setting.name] : value
}

/** The value that the setting has if it is not given. */
export const usualValue = (state: State, setting: Setting): unknown =>
  setting.name in state.defaults ? state.defaults[setting.name] : settingValue(state, setting)

/** Gives a setting, or takes it back with the value that it has anyway. */
export function changeSetting(setting: Setting, value: unknown): void {
  const { form, given, defaults } = structuredClone({ form: get().form, given: get().given, defaults: get().defaults })
  if (!form) return
  const { name } = setting
  if (name in defaults && defaults[name] === value) {
    Reflect.deleteProperty(group(given, setting), name)
    group(form, setting)[name] = value
    set({ form, given, changed: true })
  } else {
    group(given, setting)[name] = value
    set({ given, changed: true })
  }
}

export function setTokenizer(tokenizer: string): void {
  const { form, given } = get()
  if (form) set({ form: { ...form, tokenizer }, given: { ...given, tokenizer }, changed: true })
}

/** Makes a name safe for folders and files. */
export const safeName = (name: string): string => name.trim().replace(/[^\p{L}\p{N}._-]+/gu, '-')

export function setName(name: string): void {
  const { form } = get()
  if (form) set({ form: { ...form, name: safeName(name) }, changed: true })
}
