export type PositionEmbedding = "learned" | "sinusoidal" | "rope" | "none";

export type NormKind = "layer_norm" | "rms_norm";

export type HiddenAct = "gelu" | "gelu_erf" | "swiglu" | "relu2";

export type InitScheme = "gpt2" | "fan_in";

export type RopeType = "linear" | "llama3";

export type RopeScaling = { rope_type: RopeType, factor: number, low_freq_factor: number, high_freq_factor: number, original_max_position_embeddings: number, };

export type ModelConfig = { vocab_size: number, hidden_size: number, intermediate_size: number, num_hidden_layers: number, num_attention_heads: number, num_key_value_heads: number, head_dim: number, max_position_embeddings: number, position_embedding: PositionEmbedding, rope_theta: number, rope_scaling: RopeScaling | null, norm: NormKind, norm_eps: number, norm_bias: boolean, hidden_act: HiddenAct, fused_qkv: boolean, attention_bias: boolean, mlp_bias: boolean, tie_word_embeddings: boolean, qk_norm: boolean, attn_logit_softcapping: number | null, final_logit_softcapping: number | null, dropout: number, init: InitScheme, initializer_range: number, bos_token_id: number | null, eos_token_id: number | null, };

export type OptimizerKind = "adamw" | "muon";

export type ScheduleKind = "constant" | "cosine" | "linear" | "warmup_stable_decay";

export type TrainConfig = { steps: number, batch_size: number, grad_accum: number, optimizer: OptimizerKind, lr: number, min_lr: number, schedule: ScheduleKind, warmup_steps: number, decay_steps: number, beta1: number, beta2: number, eps: number, weight_decay: number, muon_lr: number, muon_momentum: number, grad_clip: number, seed: number, eval_every: number, save_every: number, keep_last: number, };

export type DataOrder = "random" | "sequential";

export type DataConfig = { seq_len: number, val_fraction: number, order: DataOrder, document_boundaries: boolean, };

export type SampleConfig = { max_new_tokens: number, temperature: number, top_k: number, top_p: number, min_p: number, repetition_penalty: number, stop: Array<string>, seed: number, };

export type Estimate = { parameters: number, non_embedding_parameters: number, forward_flops_per_token: number, train_flops_per_token: number, weight_bytes: number, state_bytes: number, activation_bytes: number, kv_cache_bytes: number, };

export type GoldenCase = { name: string, config: Uint8Array, model: Uint8Array, io: Uint8Array, train: Uint8Array, };

export type RunConfig = { name: string, tokenizer: string, model: ModelConfig, train: TrainConfig, data: DataConfig, sample_every: number, };

export type Command = { "type": "init", device: string, } | { "type": "create", config: RunConfig, text: string, } | { "type": "text", text: string, } | { "type": "train", until: number, } | { "type": "pause" } | { "type": "generate", id: number, prompt: string, config: SampleConfig, } | { "type": "cancel_generate" } | { "type": "save" } | { "type": "runs" } | { "type": "restore", run: string, } | { "type": "delete", run: string, } | { "type": "export" } | { "type": "open", name: string, bytes: Uint8Array, } | { "type": "check", golden: GoldenCase, };

export type DeviceInfo = { name: string, adapter: string, software: boolean, reason: string | null, };

export type RunSummary = { name: string, step: number, saved_at: number, };

export type RunInfo = { config: RunConfig, step: number, estimate: Estimate, train_tokens: number, val_tokens: number, bytes_per_token: number, device: DeviceInfo, trainable: boolean, notice: string | null, };

export type StepEvent = { step: number, steps: number, loss: number, grad_norm: number, lr: number, tokens: number, tokens_per_second: number, seconds_left: number, };

export type Comparison = { name: string, error: number | null, };

export type CheckReport = { golden: string, device: string, tolerance: number, comparisons: Array<Comparison>, worst: number, passed: boolean, };

export type Event = { "type": "ready", device: DeviceInfo, runs: Array<RunSummary>, } | { "type": "progress", stage: string, done: number, total: number, } | { "type": "loaded", info: RunInfo, } | { "type": "training", running: boolean, step: number, } | { "type": "step", report: StepEvent, } | { "type": "evaluated", step: number, loss: number, perplexity: number, bits_per_byte: number, } | { "type": "live_sample", step: number, text: string, } | { "type": "text", id: number, text: string, tokens: number, tokens_per_second: number, done: boolean, } | { "type": "saved", run: string, step: number, } | { "type": "runs", runs: Array<RunSummary>, } | { "type": "archive", name: string, bytes: Uint8Array, } | { "type": "checked", report: CheckReport, } | { "type": "failed", message: string, };
