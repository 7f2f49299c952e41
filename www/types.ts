// Generated from src/protocol.rs by `cargo xtask types`; not to be edited.

export type PositionEmbedding = "learned" | "sinusoidal" | "rope" | "none";

export type NormKind = "layer_norm" | "rms_norm";

export type HiddenAct = "gelu" | "gelu_erf" | "swiglu" | "relu2";

export type InitScheme = "gpt2" | "fan_in";

export type RopeType = "linear" | "llama3";

export type RopeScaling = { 
/**
 * Which rule.
 */
rope_type: RopeType, 
/**
 * Stretch factor, >= 1.
 */
factor: number, 
/**
 * Llama 3: wavelengths above `original / low_freq_factor` are stretched in full.
 */
low_freq_factor: number, 
/**
 * Llama 3: wavelengths below `original / high_freq_factor` are kept.
 */
high_freq_factor: number, 
/**
 * Llama 3: context length of the first training.
 */
original_max_position_embeddings: number, };

export type ModelConfig = { 
/**
 * Number of token ids.
 */
vocab_size: number, 
/**
 * Width of the residual stream.
 */
hidden_size: number, 
/**
 * Width inside the MLP.
 */
intermediate_size: number, 
/**
 * Number of blocks.
 */
num_hidden_layers: number, 
/**
 * Query heads.
 */
num_attention_heads: number, 
/**
 * Key and value heads; fewer than query heads is grouped-query attention (Ainslie et al. 2023).
 */
num_key_value_heads: number, 
/**
 * Width of one head; usually `hidden_size / num_attention_heads`.
 */
head_dim: number, 
/**
 * Longest sequence.
 */
max_position_embeddings: number, 
/**
 * How positions enter.
 */
position_embedding: PositionEmbedding, 
/**
 * RoPE's base.
 */
rope_theta: number, 
/**
 * RoPE's stretching, if any.
 */
rope_scaling: RopeScaling | null, 
/**
 * Which normalization.
 */
norm: NormKind, 
/**
 * The small number inside the normalization's square root.
 */
norm_eps: number, 
/**
 * A bias in LayerNorm (RMSNorm never has one).
 */
norm_bias: boolean, 
/**
 * Which MLP.
 */
hidden_act: HiddenAct, 
/**
 * One matrix for query, key and value instead of three.
 */
fused_qkv: boolean, 
/**
 * Biases in attention's projections.
 */
attention_bias: boolean, 
/**
 * Biases in the MLP.
 */
mlp_bias: boolean, 
/**
 * Use the token embedding as the head (Press & Wolf 2017).
 */
tie_word_embeddings: boolean, 
/**
 * RMSNorm on each query and key head (Dehghani et al. 2023).
 */
qk_norm: boolean, 
/**
 * `cap * tanh(x / cap)` on attention scores (Gemma 2).
 */
attn_logit_softcapping: number | null, 
/**
 * `cap * tanh(x / cap)` on the logits (Gemma 2).
 */
final_logit_softcapping: number | null, 
/**
 * Probability of zeroing, on embeddings, attention weights and both residual branches.
 */
dropout: number, 
/**
 * How fresh weights are drawn.
 */
init: InitScheme, 
/**
 * Standard deviation for [`InitScheme::Gpt2`] and for embeddings.
 */
initializer_range: number, 
/**
 * Token that opens a text, if any.
 */
bos_token_id: number | null, 
/**
 * Token that ends a text, if any; sampling stops at it.
 */
eos_token_id: number | null, };

export type OptimizerKind = "adamw" | "muon";

export type ScheduleKind = "constant" | "cosine" | "linear" | "warmup_stable_decay";

export type TrainConfig = { 
/**
 * Optimizer steps in all.
 */
steps: number, 
/**
 * Sequences per micro-batch.
 */
batch_size: number, 
/**
 * Micro-batches whose gradients are averaged into one step.
 */
grad_accum: number, 
/**
 * Which optimizer.
 */
optimizer: OptimizerKind, 
/**
 * Peak learning rate (of AdamW).
 */
lr: number, 
/**
 * Learning rate at the end of a decaying schedule.
 */
min_lr: number, 
/**
 * Which schedule.
 */
schedule: ScheduleKind, 
/**
 * Steps over which the learning rate rises from 0.
 */
warmup_steps: number, 
/**
 * Last steps over which `warmup_stable_decay` falls.
 */
decay_steps: number, 
/**
 * AdamW's first-moment decay.
 */
beta1: number, 
/**
 * AdamW's second-moment decay.
 */
beta2: number, 
/**
 * AdamW's denominator guard.
 */
eps: number, 
/**
 * Decoupled weight decay, on tensors of rank 2 and above only.
 */
weight_decay: number, 
/**
 * Peak learning rate of Muon; follows the same schedule shape.
 */
muon_lr: number, 
/**
 * Muon's momentum.
 */
muon_momentum: number, 
/**
 * Bound on the global gradient norm; 0 turns clipping off.
 */
grad_clip: number, 
/**
 * Keep only what enters each block, and compute the rest again for the backward pass (Chen et al. 2016):
 * less memory for about a third more time.
 */
gradient_checkpointing: boolean, 
/**
 * Seed of weights, batches and dropout.
 */
seed: number, 
/**
 * Evaluate on the validation split every so many steps; 0 only at the end.
 */
eval_every: number, 
/**
 * Save a checkpoint every so many steps; 0 only at the end.
 */
save_every: number, 
/**
 * How many step checkpoints to keep beside the best one.
 */
keep_last: number, };

export type DataOrder = "random" | "sequential";

export type DataConfig = { 
/**
 * Tokens per sequence.
 */
seq_len: number, 
/**
 * Share of the tokens, at the end, kept for validation.
 */
val_fraction: number, 
/**
 * The order of windows.
 */
order: DataOrder, 
/**
 * Ignore targets that cross from one document into the next (needs an end-of-text token).
 */
document_boundaries: boolean, };

export type SampleConfig = { 
/**
 * Tokens to generate at most.
 */
max_new_tokens: number, 
/**
 * Logits are divided by this; 0 takes the most likely token always.
 */
temperature: number, 
/**
 * Keep only the k most likely tokens; 0 keeps all.
 */
top_k: number, 
/**
 * Keep the fewest tokens whose probability reaches this (Holtzman et al. 2020); 1 keeps all.
 */
top_p: number, 
/**
 * Drop tokens below this share of the most likely one's probability (Nguyen et al. 2024).
 */
min_p: number, 
/**
 * Divide positive, multiply negative logits of tokens already present (Keskar et al. 2019).
 */
repetition_penalty: number, 
/**
 * Stop as soon as the new text contains one of these.
 */
stop: Array<string>, 
/**
 * Seed of the draw.
 */
seed: number, };

export type Estimate = { 
/**
 * Trained numbers; a tied embedding counts once.
 */
parameters: number, 
/**
 * Those that are not token or position embeddings (Kaplan et al. 2020's N).
 */
non_embedding_parameters: number, 
/**
 * Floating-point operations per token of one forward pass at `seq_len`.
 */
forward_flops_per_token: number, 
/**
 * Floating-point operations per token of forward and backward (PaLM's convention: 6N + 12LHQT).
 */
train_flops_per_token: number, 
/**
 * Bytes of the weights in f32.
 */
weight_bytes: number, 
/**
 * Bytes of weights, gradients and AdamW's two moments in f32.
 */
state_bytes: number, 
/**
 * Bytes of activations kept for the backward pass, in f32; within about a factor of two.
 */
activation_bytes: number, 
/**
 * Bytes of the KV cache at full context, one sequence, f32.
 */
kv_cache_bytes: number, };

export type PresetInfo = { 
/**
 * Its name.
 */
name: string, 
/**
 * One line for people.
 */
description: string, 
/**
 * `char`, `byte`, `bpe:N` or `wordpiece:N`.
 */
tokenizer: string, 
/**
 * The architecture.
 */
model: ModelConfig, 
/**
 * Optimizer and schedule.
 */
train: TrainConfig, 
/**
 * Windows.
 */
data: DataConfig, };

export type GoldenCase = { 
/**
 * The folder's name.
 */
name: string, 
/**
 * `config.json`.
 */
config: Uint8Array, 
/**
 * `model.safetensors`.
 */
model: Uint8Array, 
/**
 * `io.safetensors`.
 */
io: Uint8Array, 
/**
 * `train.json`.
 */
train: Uint8Array, };

export type RunConfig = { 
/**
 * The run's name in the browser's storage.
 */
name: string, 
/**
 * `char`, `byte`, `bpe:N` or `wordpiece:N`.
 */
tokenizer: string, 
/**
 * The architecture; `vocab_size` is replaced by the tokenizer's.
 */
model: ModelConfig, 
/**
 * Optimizer and schedule.
 */
train: TrainConfig, 
/**
 * Windows.
 */
data: DataConfig, 
/**
 * Draw a live sample every so many steps; 0 never.
 */
sample_every: number, };

export type Command = { "type": "init", 
/**
 * `auto`, `webgpu` or `cpu`.
 */
device: string, } | { "type": "create", 
/**
 * Everything that defines the run.
 */
config: RunConfig, 
/**
 * The corpus.
 */
text: string, } | { "type": "text", 
/**
 * The corpus; it must be the one the run was started with for an exact continuation.
 */
text: string, } | { "type": "train", 
/**
 * Absolute step number.
 */
until: number, } | { "type": "pause" } | { "type": "generate", 
/**
 * Chosen by the page, repeated in the answers.
 */
id: number, 
/**
 * The beginning of the text.
 */
prompt: string, 
/**
 * How to draw.
 */
config: SampleConfig, } | { "type": "cancel_generate" } | { "type": "save" } | { "type": "runs" } | { "type": "restore", 
/**
 * Its name.
 */
run: string, } | { "type": "delete", 
/**
 * Its name.
 */
run: string, } | { "type": "export" } | { "type": "open", 
/**
 * The file's name; the run is called after it.
 */
name: string, 
/**
 * The zip.
 */
bytes: Uint8Array, } | { "type": "check", 
/**
 * The golden case.
 */
golden: GoldenCase, };

export type DeviceInfo = { 
/**
 * `cpu`, `wgpu`, `vulkan`, `cuda:0`, `webgpu`.
 */
name: string, 
/**
 * The adapter's or processor's own name.
 */
adapter: string, 
/**
 * Whether it is a GPU interface that is executed in software.
 */
software: boolean, 
/**
 * Why this one: set where another was asked for or could have been expected.
 */
reason: string | null, };

export type RunSummary = { 
/**
 * Its name.
 */
name: string, 
/**
 * The step of its newest checkpoint.
 */
step: number, 
/**
 * When that was saved, milliseconds since 1970.
 */
saved_at: number, };

export type RunInfo = { 
/**
 * Everything that defines it (`model.vocab_size` is now the tokenizer's).
 */
config: RunConfig, 
/**
 * Steps done so far.
 */
step: number, 
/**
 * Its costs.
 */
estimate: Estimate, 
/**
 * Training tokens; 0 while it has no corpus.
 */
train_tokens: number, 
/**
 * Validation tokens.
 */
val_tokens: number, 
/**
 * Bytes of text per token on the corpus; 0 while it has none.
 */
bytes_per_token: number, 
/**
 * What is in use.
 */
device: DeviceInfo, 
/**
 * Whether training can go on: false until a corpus is there.
 */
trainable: boolean, 
/**
 * Something the user should know, such as a corpus other than the run's own.
 */
notice: string | null, };

export type StepEvent = { 
/**
 * Steps done, this one included.
 */
step: number, 
/**
 * Steps in all.
 */
steps: number, 
/**
 * Mean cross-entropy of the step's batch, nats per token.
 */
loss: number, 
/**
 * Global gradient norm before clipping.
 */
grad_norm: number, 
/**
 * Learning rate of the step.
 */
lr: number, 
/**
 * Tokens seen since the run began.
 */
tokens: number, 
/**
 * Tokens per second lately.
 */
tokens_per_second: number, 
/**
 * Seconds until the last step, at this speed.
 */
seconds_left: number, };

export type Comparison = { 
/**
 * `logits`, `loss`, `grad.<parameter>`, `step <n> loss`, `step <n> grad_norm`.
 */
name: string, 
/**
 * Relative error; none if the quantity is missing or has another shape.
 */
error: number | null, };

export type CheckReport = { 
/**
 * The case.
 */
golden: string, 
/**
 * The device that computed.
 */
device: string, 
/**
 * Largest error that passes.
 */
tolerance: number, 
/**
 * Every comparison made.
 */
comparisons: Array<Comparison>, 
/**
 * The largest error.
 */
worst: number, 
/**
 * Whether nothing is missing or above the tolerance.
 */
passed: boolean, };

export type Event = { "type": "ready", 
/**
 * What is in use.
 */
device: DeviceInfo, 
/**
 * Names of the runs in the browser's storage.
 */
runs: Array<RunSummary>, } | { "type": "progress", 
/**
 * What is being done, for people.
 */
stage: string, 
/**
 * How much is done.
 */
done: number, 
/**
 * Of how much; 0 when unknown.
 */
total: number, } | { "type": "loaded", 
/**
 * What it is.
 */
info: RunInfo, } | { "type": "training", 
/**
 * Whether steps are being made now.
 */
running: boolean, 
/**
 * Steps done so far.
 */
step: number, } | { "type": "step", 
/**
 * The last of them.
 */
report: StepEvent, } | { "type": "evaluated", 
/**
 * After which step.
 */
step: number, 
/**
 * Mean cross-entropy in nats per token.
 */
loss: number, 
/**
 * `exp(loss)`.
 */
perplexity: number, 
/**
 * Bits per byte of text.
 */
bits_per_byte: number, } | { "type": "live_sample", 
/**
 * After which step.
 */
step: number, 
/**
 * Prompt and continuation.
 */
text: string, } | { "type": "text", 
/**
 * As in [`Command::Generate`].
 */
id: number, 
/**
 * The new characters; never half of one.
 */
text: string, 
/**
 * Tokens generated so far.
 */
tokens: number, 
/**
 * Tokens per second so far.
 */
tokens_per_second: number, 
/**
 * Whether this was the last piece.
 */
done: boolean, } | { "type": "saved", 
/**
 * The run's name.
 */
run: string, 
/**
 * The step it holds.
 */
step: number, } | { "type": "runs", 
/**
 * The runs, newest first.
 */
runs: Array<RunSummary>, } | { "type": "archive", 
/**
 * A file name for it.
 */
name: string, 
/**
 * The zip.
 */
bytes: Uint8Array, } | { "type": "checked", 
/**
 * The figures.
 */
report: CheckReport, } | { "type": "failed", 
/**
 * One line: what, where, the remedy.
 */
message: string, };
