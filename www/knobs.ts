// Every setting of a run: what it is called, what it means, and what is usual.

import { count } from './lib/format'
import type { RunConfig } from './types'

export interface Knob {
  /** The key in the configuration. */
  name: string
  group: 'model' | 'train' | 'data' | 'run'
  label: string
  unit?: string
  /** What it means, and the usual values. */
  tip: string
  /** What it stands for in a formula. */
  formula?: string
  /** Where it was first described, or where the usual value is from. */
  source?: string
  kind: 'whole' | 'number' | 'optional' | 'flag' | 'choice'
  choices?: [value: string, label: string][]
  /** What a first visitor needs; the others are under “More settings”, for experts. */
  basic?: true
  min?: number
  max?: number
  step?: number
  /** Whether it changes anything in this configuration. */
  applies?: (config: RunConfig) => boolean
}

const rope = ({ model }: RunConfig): boolean => model.position_embedding === 'rope'
const pairs = ({ data }: RunConfig): boolean => data.kind === 'preferences'
const adapters = ({ train }: RunConfig): boolean => train.lora_rank > 0
const muon = ({ train }: RunConfig): boolean => train.optimizer === 'muon'

export const dataKnobs: Knob[] = [
  { name: 'seq_len', group: 'data', label: 'Sequence length', unit: 'tokens', kind: 'whole', min: 1,
    tip: 'How many tokens the model reads at a time while it learns. 32–256 in a tab. Attention’s work for a token grows with it.',
    formula: 'tokens per step = batch size · sequence length' },
  { name: 'val_fraction', group: 'data', label: 'Validation share', kind: 'number', min: 0, max: 0.99, step: 0.05,
    tip: 'The share at the end of the text that is never trained on, to see whether the model learns or memorizes. Usually 0.1.',
    source: 'nanoGPT' },
  { name: 'order', group: 'data', label: 'Order', kind: 'choice',
    choices: [['random', 'random'], ['sequential', 'whole epochs']],
    tip: 'Random: every window starts anywhere. Whole epochs: every window is seen once before any is seen again.' },
  { name: 'document_boundaries', group: 'data', label: 'Respect documents', kind: 'flag',
    tip: 'Do not learn to predict across the end of a document. Needs a text with end-of-text marks; usually off.',
    source: 'Grattafiori et al. 2024 (Llama 3)' },
]

export const modelKnobs: Knob[] = [
  { name: 'num_hidden_layers', group: 'model', label: 'Layers', kind: 'whole', min: 1, basic: true,
    tip: 'Blocks stacked on each other; each refines what the one before found. 2–6 in a tab, 12 in GPT-2.',
    formula: 'parameters ≈ 12 · layers · width²', source: 'Kaplan et al. 2020' },
  { name: 'hidden_size', group: 'model', label: 'Width', kind: 'whole', min: 8, step: 8, basic: true,
    tip: 'How many numbers describe each token inside the model. 64–384 in a tab, 768 in GPT-2. Cost grows with its square.',
    formula: 'parameters ≈ 12 · layers · width²', source: 'Kaplan et al. 2020' },
  { name: 'num_attention_heads', group: 'model', label: 'Heads', kind: 'whole', min: 1, basic: true,
    tip: 'How many places each block can look at at once. It should divide the width; 32–64 numbers per head are usual.',
    formula: 'width = heads · head width', source: 'Vaswani et al. 2017' },
  { name: 'max_position_embeddings', group: 'model', label: 'Context', unit: 'tokens', kind: 'whole', min: 1,
    tip: 'The longest text the model can look back on. At least the sequence length, and usually equal to it.',
    formula: 'KV cache = 2 · layers · width · context', source: 'Radford et al. 2019 (GPT-2: 1,024)' },
  { name: 'intermediate_size', group: 'model', label: 'MLP width', kind: 'whole', min: 1,
    tip: 'Width inside each block’s feed-forward half. Usually 4 × width, or 8⁄3 × width with SwiGLU.',
    formula: 'W₂ · f(W₁ x)', source: 'Vaswani et al. 2017; Shazeer 2020' },
  { name: 'num_key_value_heads', group: 'model', label: 'Key-value heads', kind: 'whole', min: 1,
    tip: 'Fewer than heads shares keys and values between them (grouped-query attention), which saves memory. Must divide heads.',
    formula: 'KV cache = 2 · layers · key-value heads · head width · context', source: 'Ainslie et al. 2023' },
  { name: 'head_dim', group: 'model', label: 'Head width', kind: 'whole', min: 1,
    tip: 'Numbers per head. Usually width ÷ heads.',
    formula: 'width ∕ heads', source: 'Vaswani et al. 2017' },
  { name: 'position_embedding', group: 'model', label: 'Positions', kind: 'choice',
    choices: [['learned', 'learned (GPT-2)'], ['rope', 'rotary (LLaMA)'], ['sinusoidal', 'sinusoidal'], ['none', 'none']],
    tip: 'How the model knows the order of tokens. Rotary is today’s usual choice.',
    formula: 'rotary: R(m) q · R(n) k = q · R(n − m) k', source: 'Su et al. 2021; learned: Radford et al. 2018' },
  { name: 'rope_theta', group: 'model', label: 'Rotary base', kind: 'number', min: 2, applies: rope,
    tip: 'Larger values suit longer contexts. Usually 10,000.',
    formula: 'angle of pair i at position t: t · base^(−2i ∕ head width)', source: 'Su et al. 2021' },
  { name: 'norm', group: 'model', label: 'Normalization', kind: 'choice',
    choices: [['layer_norm', 'LayerNorm (GPT-2)'], ['rms_norm', 'RMSNorm (LLaMA)']],
    tip: 'Keeps the numbers between blocks at one scale, so that deep models train. Either works.',
    formula: 'w ⊙ (x − mean) ∕ σ + b, or w ⊙ x ∕ rms(x)', source: 'Ba et al. 2016; Zhang & Sennrich 2019' },
  { name: 'norm_eps', group: 'model', label: 'Normalization ε', kind: 'number', min: 0,
    tip: 'A small number that prevents division by zero. 1e-5 or 1e-6.',
    formula: 'x ∕ √(mean(x²) + ε)', source: 'Ba et al. 2016' },
  { name: 'norm_bias', group: 'model', label: 'Normalization bias', kind: 'flag',
    applies: ({ model }) => model.norm === 'layer_norm',
    tip: 'Lets LayerNorm also shift. On in GPT-2.',
    formula: 'w ⊙ x̂ + b', source: 'Ba et al. 2016' },
  { name: 'hidden_act', group: 'model', label: 'MLP', kind: 'choice',
    choices: [['gelu', 'GELU (GPT-2)'], ['gelu_erf', 'GELU, exact'], ['swiglu', 'SwiGLU (LLaMA)'], ['relu2', 'ReLU²']],
    tip: 'The bend inside the feed-forward half. SwiGLU uses three matrices instead of two.',
    formula: 'GELU: x · Φ(x); SwiGLU: silu(x W₁) ⊙ x W₂; ReLU²: max(0, x)²', source: 'Hendrycks & Gimpel 2016; Shazeer 2020; So et al. 2021' },
  { name: 'fused_qkv', group: 'model', label: 'Fused QKV', kind: 'flag',
    tip: 'One matrix for query, key and value, as GPT-2 stores it. Changes the file, not the result.',
    formula: '[Q K V] = x W', source: 'Radford et al. 2019' },
  { name: 'attention_bias', group: 'model', label: 'Attention bias', kind: 'flag',
    tip: 'Biases in attention’s matrices. On in GPT-2, off in LLaMA.',
    formula: 'x W + b', source: 'Radford et al. 2019' },
  { name: 'mlp_bias', group: 'model', label: 'MLP bias', kind: 'flag',
    tip: 'Biases in the feed-forward half. On in GPT-2, off in LLaMA.',
    formula: 'x W + b', source: 'Radford et al. 2019' },
  { name: 'tie_word_embeddings', group: 'model', label: 'Tied head', kind: 'flag',
    tip: 'Use one matrix for reading and for predicting tokens. Saves parameters; on in GPT-2.',
    formula: 'logits = h · Eᵀ', source: 'Press & Wolf 2017' },
  { name: 'qk_norm', group: 'model', label: 'QK norm', kind: 'flag',
    tip: 'Normalize queries and keys; makes high learning rates safer.',
    formula: 'norm(q) · norm(k) ∕ √D', source: 'Dehghani et al. 2023' },
  { name: 'attn_logit_softcapping', group: 'model', label: 'Attention soft cap', kind: 'optional', min: 0,
    tip: 'Bends attention scores smoothly below this bound (Gemma 2: 50). Empty: off.',
    formula: 'c · tanh(s ∕ c)', source: 'Gemma Team 2024' },
  { name: 'final_logit_softcapping', group: 'model', label: 'Logit soft cap', kind: 'optional', min: 0,
    tip: 'Bends the predictions’ scores smoothly below this bound (Gemma 2: 30). Empty: off.',
    formula: 'c · tanh(z ∕ c)', source: 'Gemma Team 2024' },
  { name: 'sliding_window', group: 'model', label: 'Sliding window', kind: 'optional', unit: 'tokens', min: 1,
    tip: 'How many tokens a token looks back over, itself included (Mistral). Empty: all of them.',
    formula: 'token t sees t − window + 1 … t', source: 'Beltagy et al. 2020; Jiang et al. 2023' },
  { name: 'dropout', group: 'model', label: 'Dropout', kind: 'number', min: 0, max: 0.99, step: 0.05,
    tip: 'Share of numbers zeroed at random while training, against memorizing. 0 for short runs, 0.1–0.2 for many passes over a small text.',
    formula: 'x · mask ∕ (1 − p)', source: 'Srivastava et al. 2014' },
  { name: 'init', group: 'model', label: 'First weights', kind: 'choice', choices: [['gpt2', 'GPT-2'], ['fan_in', 'by fan-in']],
    tip: 'How the blank slate is filled: one spread for all matrices, or one by each matrix’s size.',
    formula: 'σ, or 1 ∕ √inputs; into the residual stream ∕ √(2 · layers)', source: 'Radford et al. 2019' },
  { name: 'initializer_range', group: 'model', label: 'First spread', kind: 'number', min: 0,
    tip: 'Standard deviation of the first weights. 0.02 in GPT-2.',
    formula: 'weights ~ N(0, σ²)', source: 'Radford et al. 2019' },
]

export const trainKnobs: Knob[] = [
  { name: 'steps', group: 'train', label: 'Steps', kind: 'whole', min: 1, basic: true,
    tip: 'How often the weights are corrected. A few hundred give words, a few thousand give sentences.',
    formula: 'tokens seen = steps · batch size · sequence length' },
  { name: 'batch_size', group: 'train', label: 'Batch size', unit: 'sequences', kind: 'whole', min: 1, basic: true,
    tip: 'Sequences looked at before each correction. Larger is steadier, slower per step, and needs more memory. 4–64.',
    formula: 'tokens per step = batch size · sequence length', source: 'McCandlish et al. 2018' },
  { name: 'lr', group: 'train', label: 'Learning rate', kind: 'number', min: 0, basic: true,
    tip: 'How large each correction is. 0.001–0.005 for small models, 0.0006 for GPT-2. Too high, and the loss jumps or becomes NaN.',
    formula: 'w ← w − η · m̂ ∕ (√v̂ + ε)', source: 'Kingma & Ba 2015' },
  { name: 'grad_accum', group: 'train', label: 'Accumulation', unit: 'batches', kind: 'whole', min: 1,
    tip: 'Batches averaged into one correction: a larger batch without more memory. Usually 1.',
    formula: 'g = mean of the batches’ g' },
  { name: 'optimizer', group: 'train', label: 'Optimizer', kind: 'choice', choices: [['adamw', 'AdamW'], ['muon', 'Muon + AdamW']],
    tip: 'The rule that turns gradients into corrections. AdamW is the usual one; Muon orthogonalizes those of matrices.',
    formula: 'AdamW: w ← w − η · (m̂ ∕ (√v̂ + ε) + λ w)', source: 'Loshchilov & Hutter 2019; Jordan et al. 2024 (Muon)' },
  { name: 'schedule', group: 'train', label: 'Schedule', kind: 'choice',
    choices: [['cosine', 'cosine'], ['linear', 'linear'], ['constant', 'constant'], ['warmup_stable_decay', 'stable, then decay']],
    tip: 'How the learning rate falls over the run. Cosine is usual.',
    formula: 'cosine: ηₘᵢₙ + ½ (η − ηₘᵢₙ)(1 + cos π t)', source: 'Loshchilov & Hutter 2017; Hu et al. 2024' },
  { name: 'min_lr', group: 'train', label: 'Last learning rate', kind: 'number', min: 0,
    applies: ({ train }) => train.schedule !== 'constant',
    tip: 'Where the schedule ends. Usually a tenth of the learning rate or less.',
    formula: 'ηₘᵢₙ, see Schedule', source: 'Hoffmann et al. 2022' },
  { name: 'warmup_steps', group: 'train', label: 'Warm-up', unit: 'steps', kind: 'whole', min: 0,
    tip: 'Steps over which the learning rate rises from zero, so that the first, blind corrections are small. 1–5 % of the steps.',
    formula: 'η · t ∕ (warm-up + 1)', source: 'Goyal et al. 2017' },
  { name: 'decay_steps', group: 'train', label: 'Decay', unit: 'steps', kind: 'whole', min: 0,
    applies: ({ train }) => train.schedule === 'warmup_stable_decay',
    tip: 'The last steps, over which the rate falls. Usually a fifth of the steps.',
    formula: 'ηₘᵢₙ + (η − ηₘᵢₙ) · steps left ∕ decay', source: 'Hu et al. 2024' },
  { name: 'beta1', group: 'train', label: 'β₁', kind: 'number', min: 0, max: 0.9999, step: 0.01,
    tip: 'How long AdamW remembers the gradients’ direction. Usually 0.9.',
    formula: 'm ← β₁ m + (1 − β₁) g', source: 'Kingma & Ba 2015' },
  { name: 'beta2', group: 'train', label: 'β₂', kind: 'number', min: 0, max: 0.9999, step: 0.01,
    tip: 'How long AdamW remembers the gradients’ size. 0.95–0.999.',
    formula: 'v ← β₂ v + (1 − β₂) g²', source: 'Kingma & Ba 2015' },
  { name: 'eps', group: 'train', label: 'AdamW ε', kind: 'number', min: 0,
    tip: 'A small number that prevents division by zero. 1e-8.',
    formula: 'm̂ ∕ (√v̂ + ε)', source: 'Kingma & Ba 2015' },
  { name: 'weight_decay', group: 'train', label: 'Weight decay', kind: 'number', min: 0, step: 0.05,
    tip: 'Pulls matrices gently towards zero at every step. Usually 0.1; 0 turns it off.',
    formula: 'w ← w − η λ w', source: 'Loshchilov & Hutter 2019' },
  { name: 'muon_lr', group: 'train', label: 'Muon’s rate', kind: 'number', min: 0, applies: muon,
    tip: 'Learning rate of the matrices that Muon trains. Usually 0.02.',
    formula: 'W ← W − η · orthogonal(m)', source: 'Jordan et al. 2024' },
  { name: 'muon_momentum', group: 'train', label: 'Muon’s momentum', kind: 'number', min: 0, max: 0.9999, step: 0.01,
    applies: muon,
    tip: 'How long Muon remembers the gradients’ direction. Usually 0.95.',
    formula: 'm ← μ m + g', source: 'Jordan et al. 2024' },
  { name: 'grad_clip', group: 'train', label: 'Gradient clip', kind: 'number', min: 0, step: 0.1,
    tip: 'Shrinks all gradients together when their norm is above this. Usually 1; 0 turns it off.',
    formula: 'g ← g · min(1, c ∕ ‖g‖)', source: 'Pascanu et al. 2013' },
  { name: 'z_loss', group: 'train', label: 'z-loss', kind: 'number', min: 0,
    tip: 'Keeps the scores of all tokens from drifting together. Usually 0; 0.0001 in PaLM.',
    formula: 'loss + z · (ln Σ eˢ)²', source: 'Chowdhery et al. 2022 (PaLM)' },
  { name: 'dpo_beta', group: 'train', label: 'Preference β', kind: 'number', min: 0.001, step: 0.05, applies: pairs,
    tip: 'How dear it is to leave the model that preference tuning begins with. Usually 0.1; larger stays closer.',
    formula: '−ln σ(β · (chosen − rejected))', source: 'Rafailov et al. 2023 (DPO)' },
  { name: 'lora_rank', group: 'train', label: 'Adapter rank', kind: 'whole', min: 0, applies: adapters,
    tip: 'Each matrix W stays frozen beside two narrow ones, B and A, which alone learn. Spares most of the memory of gradients and optimizer. Usually 8; 4–64. 0: the weights themselves learn.',
    formula: 'W + (α ∕ r) · B · A', source: 'Hu et al. 2021 (LoRA)' },
  { name: 'lora_alpha', group: 'train', label: 'Adapter α', kind: 'number', min: 0.1, step: 1, applies: adapters,
    tip: 'How much the adapters say beside the frozen weights, before their rank divides it. Usually 16, or twice the rank.',
    formula: 'W + (α ∕ r) · B · A', source: 'Hu et al. 2021 (LoRA)' },
  { name: 'gradient_checkpointing', group: 'train', label: 'Recompute', kind: 'flag',
    tip: 'Keep only what enters each block and compute the rest again on the way back. Saves memory, costs about a third more time; usually off.',
    source: 'Chen et al. 2016' },
  { name: 'precision', group: 'train', label: 'Precision', kind: 'choice', choices: [['f32', '32 bits'], ['f16', '16 bits']],
    tip: 'The numbers a step computes with; weights keep 32 bits. 16 need half the memory, where the device has them. Usually 32.',
    source: 'Micikevicius et al. 2018' },
  { name: 'seed', group: 'train', label: 'Seed', kind: 'whole', min: 0,
    tip: 'The same seed, settings and device give the same run.' },
  { name: 'eval_every', group: 'train', label: 'Validate every', unit: 'steps', kind: 'whole', min: 0,
    tip: 'How often the validation loss is measured, which takes a moment. 0: only at the end.' },
  { name: 'sample_every', group: 'run', label: 'Live sample every', unit: 'steps', kind: 'whole', min: 0,
    tip: 'How often the model writes a few words while it learns. 0: never.' },
  { name: 'save_every', group: 'train', label: 'Save every', unit: 'steps', kind: 'whole', min: 0,
    tip: 'How often the run is saved in this browser. 0: only at the end and when you pause.' },
  { name: 'keep_last', group: 'train', label: 'Checkpoints kept', kind: 'whole', min: 1,
    tip: 'How many of the newest saved steps are kept beside the best one.' },
  { name: 'keep_spread', group: 'train', label: 'Earlier ones kept', kind: 'whole', min: 0,
    tip: 'How many earlier saved steps are kept, spread evenly over the run: Look inside plays them back, and a run can branch from them.' },
]

export const KNOBS = [...dataKnobs, ...modelKnobs, ...trainKnobs]

/** Those that only tuning has. */
const tuning = (key: string): Knob => trainKnobs.find(({ name }) => name === key)!
export const betaKnob = tuning('dpo_beta')
export const rankKnob = tuning('lora_rank')
export const alphaKnob = tuning('lora_alpha')
/** Names in one line, of what no knob holds. */
export const targetsTip = { tip: 'The matrices of each block that get adapters, by the last part of their names: all, or some of q_proj, k_proj, v_proj (in GPT-2 qkv_proj), o_proj, gate_proj, up_proj, down_proj. Usually all.', source: 'Dettmers et al. 2023 (QLoRA)' }

/** A knob's value for people. */
export function written(value: unknown, knob: Omit<Knob, 'group'> | undefined): string {
  if (value === undefined || value === null) return 'off'
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (typeof value === 'number') return Number.isInteger(value) ? count(value) : String(value)
  return knob?.choices?.find(([choice]) => choice === value)?.[1] ?? String(value)
}

/** Settings of what is drawn from the model; `name` is a key of SampleConfig. */
export const sampleKnobs: Omit<Knob, 'group'>[] = [
  { name: 'max_new_tokens', label: 'Length', unit: 'tokens', kind: 'whole', min: 1, basic: true,
    tip: 'How many tokens are written at most.' },
  { name: 'temperature', label: 'Temperature', kind: 'number', min: 0, max: 5, step: 0.1, basic: true,
    tip: '0 always takes the likeliest token; 0.8 is lively; above 1.2 it rambles.',
    formula: 'p ∝ exp(z ∕ τ)', source: 'Ackley et al. 1985' },
  { name: 'top_k', label: 'Top-k', unit: 'tokens', kind: 'whole', min: 0,
    tip: 'Choose among the k likeliest tokens only. 0: all.',
    source: 'Fan et al. 2018' },
  { name: 'top_p', label: 'Top-p', kind: 'number', min: 0.01, max: 1, step: 0.05,
    tip: 'Choose among the fewest tokens whose probabilities add up to this. 0.95 drops the unlikely tail; 1: all.',
    formula: 'fewest tokens with Σ p ≥ P', source: 'Holtzman et al. 2020' },
  { name: 'min_p', label: 'Min-p', kind: 'number', min: 0, max: 1, step: 0.01,
    tip: 'Drop tokens below this share of the likeliest one’s probability. 0.05 is usual where it is used; 0: off.',
    formula: 'p ≥ m · max p', source: 'Nguyen et al. 2024' },
  { name: 'repetition_penalty', label: 'Repetition penalty', kind: 'number', min: 0.01, max: 10, step: 0.05,
    tip: 'Makes tokens already written less likely. 1: off; 1.1–1.3 are usual.',
    formula: 'z ∕ θ, or z · θ below zero', source: 'Keskar et al. 2019 (CTRL)' },
  { name: 'seed', label: 'Sampling seed', kind: 'whole', min: 0, tip: 'The same seed gives the same text.' },
]
