// A preset, a run and events, as the engine would send them.

import type { PresetInfo } from '../engine/wire'
import type { DeviceInfo, Drawn, Estimate, Event, RunConfig, RunInfo, RunSummary } from '../types'

export const PRESET: PresetInfo = {
  name: 'tiny',
  description: 'for tests',
  tokenizer: 'char',
  model: {
    vocab_size: 65,
    hidden_size: 64,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    head_dim: 16,
    max_position_embeddings: 64,
    position_embedding: 'learned',
    rope_theta: 10000,
    rope_scaling: null,
    norm: 'layer_norm',
    norm_eps: 1e-5,
    norm_bias: true,
    hidden_act: 'gelu',
    fused_qkv: true,
    attention_bias: true,
    mlp_bias: true,
    tie_word_embeddings: true,
    qk_norm: false,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
    sliding_window: null,
    dropout: 0,
    init: 'gpt2',
    initializer_range: 0.02,
    bos_token_id: null,
    eos_token_id: null,
  },
  train: {
    steps: 500,
    batch_size: 12,
    grad_accum: 1,
    accumulation: 'chain',
    optimizer: 'adamw',
    lr: 1e-3,
    min_lr: 1e-4,
    schedule: 'cosine',
    warmup_steps: 50,
    decay_steps: 100,
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    weight_decay: 0.1,
    muon_lr: 0.02,
    muon_momentum: 0.95,
    grad_clip: 1,
    z_loss: 0,
    dpo_beta: 0.1,
    lora_rank: 0,
    lora_alpha: 16,
    lora_targets: [],
    lora_embeddings: false,
    gradient_checkpointing: false,
    precision: 'f32',
    seed: 1,
    eval_every: 100,
    save_every: 50,
    keep_last: 1,
    keep_spread: 10,
  },
  data: { kind: 'text', seq_len: 64, val_fraction: 0.1, order: 'random', document_boundaries: false },
  sample_every: 50,
}

export const DEVICE: DeviceInfo = { name: 'cpu', adapter: '', software: false, reason: null, room: null }

const ESTIMATE: Estimate = {
  parameters: 1000,
  trained_parameters: 1000,
  non_embedding_parameters: 900,
  forward_flops_per_token: 2000,
  train_flops_per_token: 6000,
  weight_bytes: 4000,
  state_bytes: 16000,
  activation_bytes: 8000,
  step_bytes: 20000,
  kv_cache_bytes: 100,
  checkpoint_bytes: 12000,
  largest_tensor_bytes: 400,
}

export function runConfig(name: string, change: Partial<RunConfig> = {}): RunConfig {
  const { description, ...preset } = structuredClone(PRESET)
  return { ...preset, name, ...change }
}

export const runInfo = (name: string, step = 0, change: Partial<RunInfo> = {}): RunInfo => ({
  config: runConfig(name),
  step,
  estimate: ESTIMATE,
  train_tokens: 900,
  val_tokens: 100,
  bytes_per_token: 1,
  device: DEVICE,
  has_chat_template: false,
  trainable: true,
  metrics: [],
  notice: null,
  ...change,
})

export const stored = (name: string, step = 0): RunSummary => ({
  name,
  step,
  saved_at: 0,
  config: runConfig(name),
  parameters: 1000,
  tokens_seen: 0,
  best_val_loss: null,
  kept: [step],
  bytes: 1,
  base: null,
  has_chat_template: false,
})

type StepReport = Extract<Event, { type: 'step' }>['report']

export const stepReport = (step: number, change: Partial<StepReport> = {}): StepReport => ({
  step,
  steps: 500,
  loss: 4 - step / 1000,
  metrics: {},
  grad_norm: 1,
  lr: 1e-3,
  tokens: 768 * step,
  tokens_per_second: 1000,
  seconds_left: 1,
  busy: null,
  ...change,
})

export const drawn = (text: string, id = 0): Drawn => ({
  token: { id, text },
  probability: 0.5,
  kept: 1,
  alternatives: [],
  continuations: [],
  guessed: [],
})
