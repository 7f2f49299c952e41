import { beforeEach, describe, expect, test } from 'vitest'
import { PRESET, runInfo, stored } from '../testing/fixtures'
import type { RunConfig } from '../types'
import {
  choosePreset,
  freeName,
  hiddenSettings,
  resolved,
  safeName,
  changeSetting,
  setName,
  setTokenizer,
} from './form'
import { settingOf } from './settings'
import { type State, get, set } from './state.svelte'

const INITIAL: State = { ...get() }

/** The form, which must be there. */
function form(): RunConfig {
  const now = get().form
  if (!now) throw new Error('the form is empty')
  return now
}

/** The form after one setting is changed. */
function after(name: string, value: unknown): RunConfig {
  changeSetting(settingOf(name), value)
  return form()
}

beforeEach(() => {
  set({ ...INITIAL, presets: [PRESET] })
  choosePreset('tiny')
})

describe('a preset', () => {
  test('fills in the form with a free name, and saves and samples ten times per run', () => {
    expect(form().name).toBe('tiny-1')
    expect(form().model).toEqual(PRESET.model)
    expect(form().train.save_every).toBe(50)
    expect(form().sample_every).toBe(50)
  })

  test('that does not exist leaves the form as it is', () => {
    const before = form()
    choosePreset('huge')
    expect(form()).toBe(before)
    expect(get().preset).toBe('tiny')
  })

  test('is copied: changing the form changes neither the preset nor what reset returns to', () => {
    const base = structuredClone(get().base)
    after('hidden_size', 128)
    expect(PRESET.model.hidden_size).toBe(64)
    expect(get().base).toEqual(base)
  })
})

describe('names', () => {
  test('skip those of stored runs and of the current run, which may not be stored yet', () => {
    expect(freeName('tiny', { runs: [], run: null })).toBe('tiny-1')
    expect(freeName('tiny', { runs: [stored('tiny-1')], run: runInfo('tiny-2') })).toBe('tiny-3')
  })

  test('become safe for folders and files', () => {
    expect(safeName('  my run/№ 1: “Ünïcode” ')).toBe('my-run-1-Ünïcode-')
    setName('a b')
    expect(form().name).toBe('a-b')
  })
})

describe('a changed setting', () => {
  test('gives a new form and leaves the old one unchanged', () => {
    const before = form()
    const copy = structuredClone(before)
    expect(after('lr', 5e-3)).not.toBe(before)
    expect(before).toEqual(copy)
  })

  test('without a form does nothing', () => {
    set({ form: null })
    changeSetting(settingOf('lr'), 1)
    setTokenizer('byte')
    setName('x')
    expect(get().form).toBeNull()
  })

  test('width scales the MLP and the heads with it', () => {
    const { model } = after('hidden_size', 128)
    expect([model.intermediate_size, model.head_dim]).toEqual([512, 32])
  })

  test('heads carry along key/value heads and the head width', () => {
    const { model } = after('num_attention_heads', 8)
    expect([model.num_key_value_heads, model.head_dim]).toEqual([8, 8])
  })

  test('heads leave grouped-query attention and a head width of its own alone', () => {
    after('num_key_value_heads', 2)
    after('head_dim', 24)
    const { model } = after('num_attention_heads', 8)
    expect([model.num_key_value_heads, model.head_dim]).toEqual([2, 24])
  })

  test('a longer sequence extends the context, a shorter context cuts the sequence', () => {
    expect(after('seq_len', 256).model.max_position_embeddings).toBe(256)
    expect(after('max_position_embeddings', 32).data.seq_len).toBe(32)
  })

  test('the learning rate scales the one at the end, and zero breaks nothing', () => {
    expect(after('lr', 2e-3).train.min_lr).toBe(2e-4)
    expect(after('lr', 0).train.min_lr).toBe(0)
    expect(after('lr', 1e-3).train.min_lr).toBe(0)
  })

  test('fewer steps shorten warm-up, decay, and what happens ten times per run', () => {
    const now = after('steps', 60)
    expect([now.train.warmup_steps, now.train.decay_steps]).toEqual([12, 60])
    expect([now.train.save_every, now.sample_every]).toEqual([6, 6])
  })

  test('steps leave an interval alone that was chosen by hand', () => {
    after('sample_every', 7)
    expect(after('steps', 1000).sample_every).toBe(7)
  })
})

describe('what a fresh run is made with', () => {
  test.each([
    ['byte', 256],
    ['bpe:512', 512],
    ['char', 5],
  ])('the vocabulary of %s has %i tokens', (tokenizer, size) => {
    const look = { different: 5 } as NonNullable<State['look']>
    set({ look })
    setTokenizer(tokenizer)
    expect(resolved(form()).model.vocab_size).toBe(size)
  })

  test('while the text is being read, the vocabulary counts one token', () => {
    set({ look: null })
    expect(resolved(form()).model.vocab_size).toBe(1)
  })

  test('the kind of data is that of the text', () => {
    expect(resolved(form()).data.kind).toBe('text')
    set({ kind: 'conversations' })
    expect(resolved(form()).data.kind).toBe('conversations')
  })

  test('adapters and their settings are left out, and so is what belongs to another kind of data', () => {
    const { train } = form()
    set({ form: { ...form(), train: { ...train, lora_rank: 8, lora_embeddings: true, dpo_beta: 0.5 } } })
    expect(resolved(form()).train).toMatchObject({ lora_rank: 0, lora_embeddings: false, dpo_beta: 0.1 })
  })
})

describe('hidden settings', () => {
  const names = (): string[] => hiddenSettings(get()).map(({ name }) => name)

  test('a preset has none that differ, and neither has a basic setting with what follows from it', () => {
    expect(names()).toEqual([])
    after('hidden_size', 128)
    after('steps', 60)
    expect(names()).toEqual([])
  })

  test('an expert setting that differs is listed', () => {
    after('beta2', 0.95)
    expect(names()).toEqual(['beta2'])
  })

  test('a setting that has no effect is not listed', () => {
    after('rope_theta', 500000)
    expect(names()).toEqual([])
    after('position_embedding', 'rope')
    expect(names()).toContain('rope_theta')
  })
})
