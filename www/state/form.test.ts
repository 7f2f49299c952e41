import { beforeEach, describe, expect, test } from 'vitest'
import { PRESET, runInfo, stored } from '../testing/fixtures'
import type { RunConfig } from '../types'
import {
  changeSetting,
  choosePreset,
  freeName,
  safeName,
  setName,
  setTokenizer,
  settingValue,
  usualValue,
} from './form'
import { settingOf } from './settings'
import { type State, get, noneGiven, set, vocabSize } from './state.svelte'

const INITIAL: State = { ...get() }

/** The form, which must be there. */
function form(): RunConfig {
  const now = get().form
  if (!now) throw new Error('the form is empty')
  return now
}

const change = (name: string, value: unknown): void => changeSetting(settingOf(name), value)
const shown = (name: string): unknown => settingValue(get(), settingOf(name))
const usual = (name: string): unknown => usualValue(get(), settingOf(name))

beforeEach(() => {
  set({ ...INITIAL, presets: [PRESET] })
  choosePreset('tiny')
})

describe('a preset', () => {
  test('fills in the form with a free name', () => {
    expect(form().name).toBe('tiny-1')
    expect(form().model).toEqual(PRESET.model)
    expect(form().train).toEqual(PRESET.train)
    expect(form().sample_every).toBe(50)
    expect(form()).not.toHaveProperty('description')
  })

  test('that does not exist leaves the form as it is', () => {
    const before = form()
    choosePreset('huge')
    expect(form()).toBe(before)
    expect(get().preset).toBe('tiny')
  })

  test('replaces what was given', () => {
    change('lr', 0.5)
    set({ defaults: { lr: 1e-3 } })
    choosePreset('tiny')
    expect(get()).toMatchObject({ given: noneGiven(), defaults: {} })
    expect(shown('lr')).toBe(1e-3)
  })

  test('is copied: changing the form changes neither the preset nor the base', () => {
    const base = structuredClone(get().base)
    change('hidden_size', 128)
    set({ defaults: { hidden_size: 64 } })
    change('hidden_size', 64)
    expect(PRESET.model.hidden_size).toBe(64)
    expect(get().base).toEqual(base)
  })
})

describe('names', () => {
  test('skip those of stored runs, of the current run and of those in other tabs, which may not be stored yet', () => {
    expect(freeName('tiny', { runs: [], run: null, elsewhere: [] })).toBe('tiny-1')
    const named = { runs: [stored('tiny-1')], run: runInfo('tiny-2'), elsewhere: ['tiny-3'] }
    expect(freeName('tiny', named)).toBe('tiny-4')
  })

  test('become safe for folders and files', () => {
    expect(safeName('  my run/№ 1: “Ünïcode” ')).toBe('my-run-1-Ünïcode-')
    setName('a b')
    expect(form().name).toBe('a-b')
  })
})

describe('a changed setting', () => {
  test('is given, in its group, and leaves the settings given before unchanged', () => {
    const before = get().given
    change('lr', 5e-3)
    change('seq_len', 32)
    change('sample_every', 7)
    expect(before).toEqual(noneGiven())
    expect(get().given).toEqual({ model: {}, train: { lr: 5e-3 }, data: { seq_len: 32 }, sample_every: 7 })
  })

  test('shows at once, while the rest of the form waits for the engine', () => {
    const before = form()
    change('hidden_size', 128)
    expect(shown('hidden_size')).toBe(128)
    expect(shown('intermediate_size')).toBe(256)
    expect(form()).toBe(before)
  })

  test('that is turned off shows as off', () => {
    set({ form: { ...form(), model: { ...form().model, sliding_window: 8 } } })
    expect(shown('sliding_window')).toBe(8)
    change('sliding_window', null)
    expect(shown('sliding_window')).toBeNull()
  })

  test('is taken back with the value that it has otherwise', () => {
    change('lr', 5e-3)
    change('sample_every', 7)
    set({ defaults: { lr: 1e-3, sample_every: 50 }, form: { ...form(), sample_every: 7 } })
    expect([usual('lr'), usual('sample_every'), usual('steps')]).toEqual([1e-3, 50, 500])
    change('lr', 1e-3)
    change('sample_every', 50)
    expect(get().given).toEqual(noneGiven())
    expect([shown('lr'), shown('sample_every')]).toEqual([1e-3, 50])
  })

  test('without a form does nothing', () => {
    set({ form: null })
    change('lr', 1)
    setTokenizer('byte')
    setName('x')
    expect(get()).toMatchObject({ form: null, given: noneGiven() })
  })
})

describe('the tokenizer', () => {
  test('is given, and shows at once', () => {
    setTokenizer('byte')
    expect([form().tokenizer, get().given.tokenizer]).toEqual(['byte', 'byte'])
  })

  test.each([
    ['byte', 256],
    ['bpe:512', 512],
    ['char', 5],
  ])('%s has a vocabulary of %i tokens', (tokenizer, size) => {
    const look = { different: 5 } as NonNullable<State['look']>
    set({ look })
    expect(vocabSize(tokenizer, get())).toBe(size)
  })

  test('has a vocabulary of one token while the text is being read', () => {
    set({ look: null })
    expect(vocabSize('char', get())).toBe(1)
  })
})
