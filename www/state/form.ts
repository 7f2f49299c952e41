// The settings form: presets, single settings, and settings that follow others.

import { SETTINGS, type Setting, applies } from './settings'
import { type State, get, set, vocabSize } from './state.svelte'
import type { DataKind, RunConfig, TrainConfig } from '../types'
import type { PresetInfo } from '../engine/wire'

/** The configuration of a new run on the current text. Vocabulary size and special tokens come from the tokenizer. */
export function resolved(form: RunConfig): RunConfig {
  const { kind } = get()
  const model = { ...form.model, vocab_size: vocabSize(form.tokenizer, get()), bos_token_id: null, eos_token_id: null }
  // Adapters only make sense on trained weights.
  const train = { ...suited(form.train, kind), lora_rank: 0, lora_embeddings: false }
  return { ...form, train, data: { ...form.data, kind }, model }
}

/** Training settings, with those of other kinds of text reset. */
function suited(train: TrainConfig, kind: DataKind): TrainConfig {
  const { dpo_beta } = (kind !== 'preferences' && get().presets[0]?.train) || train
  return { ...train, dpo_beta }
}

type Named = Pick<State, 'runs' | 'run'>

/** Whether a stored run or the current run has this name. The current run is listed only once it has been saved. */
export const isTaken = (name: string, { runs, run }: Named): boolean =>
  run?.config.name === name || runs.some((stored) => stored.name === name)

/** The first unused name of `tiny-1`, `tiny-2`, … */
export function freeName(stem: string, named: Named): string {
  for (let n = 1; ; n += 1) if (!isTaken(`${stem}-${n}`, named)) return `${stem}-${n}`
}

/** Earlier checkpoints kept, spread over the run. */
const KEPT = 10

const tenth = (steps: number): number => Math.max(1, Math.round(steps / 10))

function fromPreset(preset: PresetInfo, named: Named): RunConfig {
  const { tokenizer, model, train, data } = structuredClone(preset)
  return {
    name: freeName(preset.name, named),
    tokenizer,
    model,
    // Look inside plays back these checkpoints.
    train: { ...train, save_every: tenth(train.steps), keep_spread: KEPT },
    data,
    sample_every: tenth(train.steps),
  }
}

/** A free name for a run that fine-tunes `base`. */
export const tuningName = (base: string, named: Named): string =>
  freeName(`${base.replace(/-tuned-\d+$/, '')}-tuned`, named)

export function choosePreset(name: string): void {
  const preset = get().presets.find((known) => known.name === name)
  if (!preset) return
  const form = fromPreset(preset, get())
  set({ preset: name, form, base: structuredClone(form) })
}

type Group = Record<string, unknown>
const group = (config: RunConfig, { group }: Setting): Group =>
  (group === 'run' ? config : config[group as 'model' | 'data' | 'train']) as unknown as Group

export const settingValue = (config: RunConfig, setting: Setting): unknown => group(config, setting)[setting.name]

/** A copy of the configuration with one setting changed, together with the settings that follow it. */
function turned(before: RunConfig, setting: Setting, value: unknown): RunConfig {
  const form = structuredClone(before)
  group(form, setting)[setting.name] = value
  if (setting.group !== 'run') follow(before, form)
  return form
}

export function changeSetting(setting: Setting, value: unknown): void {
  const { form } = get()
  if (form) set({ form: turned(form, setting, value) })
}

/** Expert settings that differ from what the preset and the basic settings imply. */
export function hiddenSettings(state: State): Setting[] {
  const { form, presets, preset } = state
  const like = presets.find(({ name }) => name === preset) ?? presets[0]
  if (!form || !like) return []
  const basic = SETTINGS.filter((setting) => setting.basic)
  const usual = basic.reduce(
    (config, setting) => turned(config, setting, settingValue(form, setting)),
    fromPreset(like, state),
  )
  return SETTINGS.filter(
    (setting) =>
      !setting.basic && applies(setting, form) && settingValue(form, setting) !== settingValue(usual, setting),
  )
}

export function setTokenizer(tokenizer: string): void {
  const { form } = get()
  if (form) set({ form: { ...form, tokenizer } })
}

/** Makes a name safe for folders and files. */
export const safeName = (name: string): string => name.trim().replace(/[^\p{L}\p{N}._-]+/gu, '-')

export function setName(name: string): void {
  const { form } = get()
  if (form) set({ form: { ...form, name: safeName(name) } })
}

/** Updates settings that usually follow the width, the heads, the context, the learning rate or the steps. */
function follow(before: RunConfig, now: RunConfig): void {
  const was = before.model
  const model = now.model
  const whole = (n: number): number => Math.max(1, Math.round(n))
  if (model.hidden_size !== was.hidden_size && model.hidden_size > 0) {
    model.intermediate_size = whole((was.intermediate_size * model.hidden_size) / was.hidden_size)
  }
  if (model.num_attention_heads !== was.num_attention_heads && was.num_key_value_heads === was.num_attention_heads) {
    model.num_key_value_heads = model.num_attention_heads
  }
  if (model.head_dim === was.head_dim && was.head_dim === Math.floor(was.hidden_size / was.num_attention_heads)) {
    model.head_dim = whole(Math.floor(model.hidden_size / Math.max(1, model.num_attention_heads)))
  }
  if (now.data.seq_len > model.max_position_embeddings) {
    if (model.max_position_embeddings === was.max_position_embeddings) model.max_position_embeddings = now.data.seq_len
    else now.data.seq_len = model.max_position_embeddings
  }
  if (now.train.lr !== before.train.lr && before.train.lr > 0 && now.train.min_lr === before.train.min_lr) {
    now.train.min_lr = Number(((before.train.min_lr * now.train.lr) / before.train.lr).toPrecision(3))
  }
  if (now.train.steps !== before.train.steps) {
    now.train.warmup_steps = Math.min(now.train.warmup_steps, Math.floor(now.train.steps / 5))
    now.train.decay_steps = Math.min(now.train.decay_steps, now.train.steps)
    const [usual, next] = [tenth(before.train.steps), tenth(now.train.steps)]
    if (before.sample_every === usual) now.sample_every = next
    if (before.train.save_every === usual) now.train.save_every = next
  }
}
