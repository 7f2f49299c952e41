// Generated from src/protocol by `cargo xtask types`; not to be edited.

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
 * A query sees this many keys, its own included (Mistral, Jiang et al. 2023); all before it if left out.
 */
sliding_window: number | null, 
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

export type Precision = "f32" | "f16" | "bf16";

export type ScheduleKind = "constant" | "cosine" | "linear" | "warmup_stable_decay";

export type TrainConfig = { 
/**
 * Optimizer steps in all.
 */
steps: number, 
/**
 * Sequences, or preference pairs, per micro-batch.
 */
batch_size: number, 
/**
 * Micro-batches whose gradients are averaged into one step.
 */
grad_accum: number, 
/**
 * Keep only what enters each block, and compute the rest again for the backward pass (Chen et al. 2016):
 * less memory for about a third more time.
 */
gradient_checkpointing: boolean, 
/**
 * What forward and backward pass compute in. Evaluation and sampling are f32 always.
 */
precision: Precision, 
/**
 * Seed of weights, batches and dropout.
 */
seed: number, 
/**
 * Evaluate on the validation split every so many steps; 0 only at the end.
 */
eval_every: number, 
/**
 * Which optimizer.
 */
optimizer: OptimizerKind, 
/**
 * Peak learning rate (of AdamW).
 */
lr: number, 
/**
 * AdamW's first-moment decay.
 */
beta1: number, 
/**
 * AdamW's second-moment decay.
 */
beta2: number, 
/**
 * Added to AdamW's denominator for numerical stability.
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
 * Which schedule.
 */
schedule: ScheduleKind, 
/**
 * Learning rate at the end of a decaying schedule.
 */
min_lr: number, 
/**
 * Steps over which the learning rate rises from 0.
 */
warmup_steps: number, 
/**
 * Last steps over which `warmup_stable_decay` falls.
 */
decay_steps: number, 
/**
 * Weight of the squared logarithm of the softmax normalizer, which keeps logits from drifting (PaLM,
 * Chowdhery et al. 2022, section 5: 1e-4); 0 turns it off. The training loss that is reported includes
 * it, an evaluation never does.
 */
z_loss: number, 
/**
 * DPO temperature β: reward = β · log(π_θ / π_ref) (Rafailov et al. 2023, eq. 4). Only used with preference pairs.
 */
dpo_beta: number, 
/**
 * Rank of the adapters that are trained beside frozen weights (LoRA, Hu et al. 2021); 0 trains the weights.
 */
lora_rank: number, 
/**
 * LoRA scaling numerator: ΔW = (alpha / rank) · B · A, as PEFT's setting of this name.
 */
lora_alpha: number, 
/**
 * Projections with an adapter, by the last part of their names (PEFT's `target_modules`); `all` for all of the blocks.
 */
lora_targets: Array<string>, 
/**
 * Train the embedding and the head beside the adapters, in full (PEFT's `modules_to_save`): tokens that are new to
 * a model want it.
 */
lora_embeddings: boolean, 
/**
 * Save a checkpoint every so many steps; 0 only at the end.
 */
save_every: number, 
/**
 * How many step checkpoints to keep beside the best one.
 */
keep_last: number, 
/**
 * How many older step checkpoints to keep beside those, spread evenly over the steps.
 */
keep_spread: number, };

export type DataKind = "text" | "conversations" | "preferences";

export type DataOrder = "random" | "sequential";

export type DataConfig = { 
/**
 * What is trained on.
 */
kind: DataKind, 
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

export type Role = "system" | "user" | "assistant";

export type Message = { 
/**
 * Author of the message.
 */
role: Role, 
/**
 * Text of the message.
 */
content: string, };

export type Estimate = { 
/**
 * Numbers of the model; a tied embedding counts once.
 */
parameters: number, 
/**
 * Those that are trained: all, or the adapters' own, which stand beside the model's.
 */
trained_parameters: number, 
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
 * Bytes of the weights in f32, adapters included.
 */
weight_bytes: number, 
/**
 * Bytes of weights and, of what is trained, gradients and AdamW's two moments in f32.
 */
state_bytes: number, 
/**
 * Bytes of activations kept for the backward pass, and of the weights' copies where it is not computed in
 * f32; within about a factor of two.
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

export type ExampleInfo = { 
/**
 * What it is called.
 */
name: string, 
/**
 * What it is, and what it teaches.
 */
about: string, };

export type GoldenCase = { 
/**
 * Name of the folder.
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

export type NamedFile = { 
/**
 * Its path.
 */
name: string, 
/**
 * Its content.
 */
bytes: Uint8Array, };

export type Draft = { "type": "ngram" } | { "type": "step", 
/**
 * The step.
 */
step: number, } | { "type": "run", 
/**
 * Its name.
 */
run: string, };

export type Speculation = { 
/**
 * Who guesses.
 */
draft: Draft, 
/**
 * Tokens that are guessed at a time, at least one.
 */
length: number, };

export type Guesses = { 
/**
 * Proposed tokens.
 */
made: number, 
/**
 * Accepted tokens.
 */
right: number, 
/**
 * Forward passes of the model.
 */
passes: number, 
/**
 * Prompt tokens that were already in the draft model's KV cache.
 */
reused: number, };

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
text: string, } | { "type": "fine_tune", 
/**
 * Everything that defines the run, but for the tokenizer and, except for dropout, the architecture,
 * which are those of the model at hand.
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
until: number, } | { "type": "pause" } | { "type": "adjust", 
/**
 * Peak learning rate.
 */
lr: number | null, 
/**
 * Sequences per step.
 */
batch_size: number | null, 
/**
 * Steps in all; training under way now ends there.
 */
steps: number | null, } | { "type": "generate", 
/**
 * Chosen by the page, repeated in the answers.
 */
id: number, 
/**
 * The beginning of the text.
 */
prompt: string, 
/**
 * The beginning as tokens, which are then taken instead of the text.
 */
ids: Array<number> | null, 
/**
 * A conversation, which is then taken instead of both: what is generated is the assistant's next turn.
 */
messages?: Array<Message>, 
/**
 * How to draw.
 */
config: SampleConfig, 
/**
 * How many alternatives to tell with each token.
 */
alternatives: number, 
/**
 * What guesses ahead, so that the same text takes fewer passes.
 */
draft?: Speculation, } | { "type": "cancel_generate", 
/**
 * As in [`Command::Generate`].
 */
id: number | null, } | { "type": "save" } | { "type": "runs" } | { "type": "restore", 
/**
 * Its name.
 */
run: string, 
/**
 * The kept checkpoint to load; the newest otherwise. What is trained on from an older one takes
 * the place of the checkpoints after it.
 */
step: number | null, 
/**
 * Go on under this name instead, as a branch: the run itself stays as it is. It must be new.
 */
branch: string | null, } | { "type": "delete", 
/**
 * Its name.
 */
run: string, } | { "type": "export", 
/**
 * The stored run whose newest checkpoint it is; otherwise the run at hand, as it is now.
 */
run: string | null, } | { "type": "open", 
/**
 * The file's name; the run is called after it.
 */
name: string, 
/**
 * The zip.
 */
bytes: Uint8Array, } | { "type": "open_files", 
/**
 * The run's name.
 */
name: string, 
/**
 * The files.
 */
files: Array<NamedFile>, } | { "type": "profile", 
/**
 * Steps.
 */
steps: number, } | { "type": "check", 
/**
 * The golden case.
 */
golden: GoldenCase, };

export type Token = { 
/**
 * Its number.
 */
id: number, 
/**
 * Its text; bytes that are no text alone stand as `\xNN`.
 */
text: string, };

export type Part = { 
/**
 * The block, from 0.
 */
layer: number, 
/**
 * The query head, from 0; none for the MLP.
 */
head: number | null, 
/**
 * The neuron of the MLP, from 0; none for all of it, and for a head.
 */
neuron: number | null, };

export type Candidate = { 
/**
 * The token.
 */
token: Token, 
/**
 * The model's probability.
 */
probability: number, 
/**
 * The probability with which the sampler draws it: 0 if it was cut off.
 */
drawn: number, };

export type Drawn = { 
/**
 * The token.
 */
token: Token, 
/**
 * The model's probability of it.
 */
probability: number, 
/**
 * How many tokens could have been drawn.
 */
kept: number, 
/**
 * The likeliest tokens, as many as were asked for.
 */
alternatives: Array<Candidate>, 
/**
 * What each of them would add to the text; none where it ends inside a character, whose text the token
 * after it decides.
 */
continuations: Array<string | null>, 
/**
 * What a draft guessed for its place and those after it, the token's own first; empty where nothing was guessed.
 */
guessed: Array<Token>, };

export type Likely = { 
/**
 * The token.
 */
token: Token, 
/**
 * Its probability.
 */
probability: number, };

export type LensCell = { 
/**
 * The likeliest tokens with their probabilities, likeliest first.
 */
top: Array<Likely>, 
/**
 * Entropy of the distribution in bits.
 */
entropy: number, };

export type Inspection = { 
/**
 * The step of the model that was looked at.
 */
step: number, 
/**
 * The text's tokens, `T`.
 */
tokens: Array<Token>, 
/**
 * Blocks.
 */
layers: number, 
/**
 * Query heads per block.
 */
heads: number, 
/**
 * Attention weights `[L, H, T, T]`, little-endian f32: row `query`, column `key`; each row sums to one.
 */
attention: Uint8Array, 
/**
 * Root mean square of the residual stream `[L + 1, T]`: what enters each block, then what leaves the last.
 */
residual_rms: Array<number>, 
/**
 * Root mean square of what attention adds to it, `[L, T]`.
 */
attention_rms: Array<number>, 
/**
 * Root mean square of what the MLP adds to it, `[L, T]`.
 */
mlp_rms: Array<number>, 
/**
 * Logit lens `[L + 1][T]`: what the stream would predict if the head read it there.
 */
lens: Array<Array<LensCell>>, 
/**
 * Negative log-likelihood of each token given those before it, in nats; one fewer than tokens.
 */
losses: Array<number>, 
/**
 * The same without the ablation; none if nothing was ablated.
 */
losses_before: Array<number> | null, 
/**
 * The likeliest next tokens after the text, as many as the lens names, drawn as they are predicted; after an
 * ablation those that were likeliest before it follow.
 */
next: Array<Candidate>, 
/**
 * The same tokens without the ablation; none if nothing was ablated.
 */
next_before: Array<Candidate> | null, };

export type Promoted = { 
/**
 * The token.
 */
token: Token, 
/**
 * What is added to its logit, before the last norm divides.
 */
logit: number, };

export type Circuit = { 
/**
 * The step of the model that was looked at.
 */
step: number, 
/**
 * The text's tokens, `T`.
 */
tokens: Array<Token>, 
/**
 * Scores before mask and softmax, as this text gives them, `[T, T]`, little-endian f32: row `query`, column
 * `key`.
 */
scores: Uint8Array, 
/**
 * The same of the tokens' embeddings alone, without positions: the QK circuit.
 */
scores_alone: Uint8Array, 
/**
 * For each token, what the head makes likelier when it looks at it: the OV circuit, most first.
 */
promoted: Array<Array<Promoted>>, };

export type NeuronReport = { 
/**
 * Its number in the block, from 0.
 */
neuron: number, 
/**
 * What the MLP's way down reads from it at each token, `T`.
 */
activations: Array<number>, 
/**
 * What it makes likelier where it is positive, most first; less likely where it is negative.
 */
promoted: Array<Promoted>, };

export type CacheReport = { 
/**
 * The text's tokens, `T`.
 */
tokens: Array<Token>, 
/**
 * Root mean square of each token's keys, all heads together, `[L, T]`.
 */
keys: Array<number>, 
/**
 * Root mean square of its values, `[L, T]`.
 */
values: Array<number>, 
/**
 * Tokens that it has room for.
 */
context: number, 
/**
 * Bytes that a token takes in all blocks.
 */
token_bytes: number, };

export type AnswerReport = { 
/**
 * The answer, with the mark that ends it.
 */
text: string, 
/**
 * Its tokens.
 */
tokens: number, 
/**
 * Its log-probability in nats, all tokens together.
 */
log_probability: number, 
/**
 * The same under the model that the tuning began with.
 */
reference: number, };

export type PairReport = { 
/**
 * How many training pairs there are.
 */
pairs: number, 
/**
 * What both answer, up to the answers' first tokens.
 */
prompt: string, 
/**
 * How dear it is to leave the reference.
 */
beta: number, 
/**
 * The answer that was preferred.
 */
chosen: AnswerReport, 
/**
 * The other one.
 */
rejected: AnswerReport, };

export type TokenizerReport = { 
/**
 * As it was asked for.
 */
spec: string, 
/**
 * Size of the vocabulary, special tokens included.
 */
vocab_size: number, 
/**
 * Bytes of the corpus per token.
 */
bytes_per_token: number, 
/**
 * Milliseconds that training took.
 */
train_ms: number, 
/**
 * The text, cut.
 */
tokens: Array<Token>, 
/**
 * Why it could not be trained, or could not cut the text.
 */
problem: string | null, };

export type Merge = { 
/**
 * The first half.
 */
left: string, 
/**
 * The second half.
 */
right: string, 
/**
 * How often the pair occurred in the corpus when it was merged.
 */
count: number, };

export type Stage = { 
/**
 * Merges learned so far.
 */
merges: number, 
/**
 * The text, cut.
 */
tokens: Array<Token>, };

export type Spread = { 
/**
 * Mean.
 */
mean: number, 
/**
 * Standard deviation.
 */
std: number, 
/**
 * Minimum.
 */
min: number, 
/**
 * Maximum.
 */
max: number, 
/**
 * Fraction of exact zeros.
 */
zeros: number, 
/**
 * True if all elements are finite.
 */
finite: boolean, 
/**
 * Histogram with equal bins over `[min, max]`.
 */
bins: Array<number>, };

export type TensorReport = { 
/**
 * Name of the parameter.
 */
name: string, 
/**
 * Shape of the parameter.
 */
shape: Array<number>, 
/**
 * Statistics of the weights.
 */
weights: Spread, 
/**
 * Statistics of the gradients on the run's next batch; none without training data.
 */
gradients: Spread | null, };

export type ActivationReport = { 
/**
 * Path of the module: `embed_tokens` (with positions added), `layers.0.self_attn`, `layers.0.mlp.act` (activated
 * neurons), `layers.0.mlp`, `layers.0` (residual stream after the block) and so on.
 */
name: string, 
/**
 * Statistics of its output at all tokens.
 */
spread: Spread, };

export type Query = { "type": "tokens", 
/**
 * The text.
 */
text: string, } | { "type": "vocabulary" } | { "type": "tokenizers", 
/**
 * What they are trained on.
 */
corpus: string, 
/**
 * What they then cut.
 */
text: string, 
/**
 * `char`, `byte`, `bpe:N`, `wordpiece:N`.
 */
specs: Array<string>, } | { "type": "merges", 
/**
 * What it is trained on.
 */
corpus: string, 
/**
 * What is cut.
 */
text: string, 
/**
 * Size of the finished vocabulary.
 */
vocab_size: number, } | { "type": "inspect", 
/**
 * The text. Of a longer one the end is kept: as much as the context holds, but 256 tokens at most,
 * since attention weights grow with the square.
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, 
/**
 * Heads and MLPs whose output is replaced by nothing.
 */
ablate: Array<Part>, 
/**
 * How many likeliest tokens the logit lens names at each place.
 */
top: number, } | { "type": "cut", 
/**
 * The text. Of one longer than the context the end is kept.
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, 
/**
 * The sampler's settings.
 */
config: SampleConfig, 
/**
 * How many tokens to tell of, likeliest first.
 */
top: number, } | { "type": "tensors", 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, } | { "type": "embeddings", 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, 
/**
 * How many tokens at most, in the order of their ids; at least one.
 */
limit: number, } | { "type": "circuit", 
/**
 * The text; as much of its end is kept as of [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, 
/**
 * The block, from 0.
 */
layer: number, 
/**
 * The query head, from 0.
 */
head: number, 
/**
 * How many promoted tokens to name for each token of the text.
 */
top: number, } | { "type": "neurons", 
/**
 * The text; as much of its end is kept as of [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, 
/**
 * The block, from 0.
 */
layer: number, 
/**
 * The token, from 0.
 */
place: number, 
/**
 * How many neurons to tell of.
 */
count: number, 
/**
 * How many promoted tokens to name for each.
 */
top: number, } | { "type": "activations", 
/**
 * The text; as much of its end is kept as of [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, } | { "type": "cached", 
/**
 * The text; as much of its end is kept as of [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the model at hand.
 */
step: number | null, } | { "type": "pair", 
/**
 * Its number, from 0.
 */
number: number, } | { "type": "speed", 
/**
 * Everything that would define the run.
 */
config: RunConfig, };

export type Answer = { "type": "tokens", 
/**
 * Its tokens.
 */
tokens: Array<Token>, } | { "type": "vocabulary", 
/**
 * In the order of their ids.
 */
tokens: Array<Token>, 
/**
 * The ids of those that ordinary text never makes.
 */
special: Array<number>, } | { "type": "tokenizers", 
/**
 * In the order they were asked for.
 */
reports: Array<TokenizerReport>, } | { "type": "merges", 
/**
 * In the order they were learned.
 */
merges: Array<Merge>, 
/**
 * The text cut at growing sizes of the vocabulary, the full size last.
 */
stages: Array<Stage>, } | { "type": "inspect", 
/**
 * What was seen.
 */
inspection: Inspection, } | { "type": "cut", 
/**
 * The likeliest tokens, before and after the cut.
 */
candidates: Array<Candidate>, 
/**
 * How many tokens could be drawn.
 */
kept: number, } | { "type": "tensors", 
/**
 * In the model's order.
 */
tensors: Array<TensorReport>, } | { "type": "embeddings", 
/**
 * The tokens.
 */
tokens: Array<Token>, 
/**
 * A place for each.
 */
points: Array<[number, number]>, 
/**
 * The share of the variance that each of the two axes holds.
 */
explained: [number, number], } | { "type": "circuit", 
/**
 * What they do.
 */
circuit: Circuit, } | { "type": "neurons", 
/**
 * The strongest first.
 */
neurons: Array<NeuronReport>, } | { "type": "activations", 
/**
 * In the order of the pass.
 */
activations: Array<ActivationReport>, } | { "type": "cached", 
/**
 * What was seen.
 */
cache: CacheReport, } | { "type": "pair", 
/**
 * What the model makes of it.
 */
pair: PairReport, } | { "type": "speed", 
/**
 * Tokens per second; none where even a part of the model is too large to be tried, or where something
 * else was under way.
 */
tokens_per_second: number | null, };

export type DeviceInfo = { 
/**
 * `cpu`, `wgpu`, `vulkan`, `cuda:0` or `webgpu`.
 */
name: string, 
/**
 * Name of the adapter or processor.
 */
adapter: string, 
/**
 * True for a software adapter.
 */
software: boolean, 
/**
 * Reason for the choice, if it was automatic or is not the requested device.
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
saved_at: number, 
/**
 * What defines it; none where its files cannot be read.
 */
config: RunConfig | null, 
/**
 * Its parameters.
 */
parameters: number, 
/**
 * Tokens it was trained on.
 */
tokens_seen: number, 
/**
 * The lowest validation loss so far.
 */
best_val_loss: number | null, 
/**
 * Steps of the kept checkpoints, ascending.
 */
kept: Array<number>, 
/**
 * Bytes it takes.
 */
bytes: number, 
/**
 * Whether it was trained to take turns in a conversation.
 */
has_chat_template: boolean, };

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
 * Whether it was trained to take turns in a conversation.
 */
has_chat_template: boolean, 
/**
 * Whether training can go on: false until a corpus is there.
 */
trainable: boolean, 
/**
 * Something the user should know, such as a corpus other than the run's own.
 */
notice: string | null, };

export type Preference = { 
/**
 * Mean of the rewards of the chosen answers less those of the rejected ones.
 */
margin: number, 
/**
 * Share of the pairs whose chosen answer has the greater reward.
 */
accuracy: number, };

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
 * Mean cross-entropy of the step's batch, nats per token; of preference pairs the mean of their loss.
 */
loss: number, 
/**
 * Of preference pairs.
 */
preference: Preference | null, 
/**
 * Global gradient norm before clipping; none where gradients overflowed f16, and the step changed nothing.
 */
grad_norm: number | null, 
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
seconds_left: number, 
/**
 * The share of the time of the steps up to this one in which a GPU computed, by its own clock; none where
 * these steps were not measured.
 */
busy: number | null, };

export type Comparison = { 
/**
 * `logits`, `loss`, `grad.<parameter>`, `step <n> loss`, `step <n> grad_norm`.
 */
name: string, 
/**
 * Relative error; none if the quantity is missing or has the wrong number of elements.
 */
error: number | null, };

export type CheckReport = { 
/**
 * Name of the case.
 */
golden: string, 
/**
 * Name of the device.
 */
device: string, 
/**
 * Maximum allowed relative error.
 */
tolerance: number, 
/**
 * All comparisons.
 */
comparisons: Array<Comparison>, 
/**
 * Largest relative error; infinite if a quantity is missing or not finite.
 */
worst: number, 
/**
 * True if no error exceeds the tolerance.
 */
passed: boolean, };

export type KernelTime = { 
/**
 * Name in the source.
 */
kernel: string, 
/**
 * Number of launches.
 */
calls: number, 
/**
 * Total milliseconds on the device; none if the device has no timestamps.
 */
ms: number | null, };

export type ProfileReport = { 
/**
 * Number of steps.
 */
steps: number, 
/**
 * Elapsed milliseconds.
 */
ms: number, 
/**
 * Kernels and operations, longest total time first.
 */
kernels: Array<KernelTime>, };

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
info: RunInfo, } | { "type": "gone" } | { "type": "adjusted", 
/**
 * All of them, as they are now.
 */
config: RunConfig, 
/**
 * Its costs now.
 */
estimate: Estimate, } | { "type": "training", 
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
 * Mean cross-entropy in nats per token; of preference pairs the mean of their loss.
 */
loss: number, 
/**
 * `exp` of the mean cross-entropy, of preference pairs that of the chosen answers.
 */
perplexity: number, 
/**
 * Bits per byte of the same text.
 */
bits_per_byte: number, 
/**
 * Of preference pairs.
 */
preference: Preference | null, } | { "type": "live_sample", 
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
 * The prompt's tokens, in the first piece only.
 */
prompt: Array<Token>, 
/**
 * The tokens drawn since the last piece.
 */
drawn: Array<Drawn>, 
/**
 * Oldest messages of a conversation that the context had no room for; in the first piece only.
 */
dropped: number, 
/**
 * Tokens of the prompt that the model had read before, for a text that began alike; in the first piece only.
 */
reused: number, 
/**
 * How well the draft has guessed so far, if there is one.
 */
guesses: Guesses | null, 
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
bytes: Uint8Array, } | { "type": "profiled", 
/**
 * The figures.
 */
report: ProfileReport, } | { "type": "checked", 
/**
 * The figures.
 */
report: CheckReport, } | { "type": "failed", 
/**
 * One line: what, where, the remedy.
 */
message: string, };
