// Generated from src/protocol by `cargo xtask types`; not to be edited.

export type PositionEmbedding = "learned" | "rope" | "sinusoidal" | "none";

export type NormKind = "layer_norm" | "rms_norm";

export type HiddenAct = "gelu" | "gelu_erf" | "swiglu" | "relu2";

export type InitScheme = "gpt2" | "fan_in";

export type RopeType = "linear" | "llama3";

export type RopeScaling = { 
/**
 * Rule of scaling.
 */
rope_type: RopeType, 
/**
 * Scaling factor, at least 1.
 */
factor: number, 
/**
 * Llama 3: wavelengths above `original / low_freq_factor` are scaled in full.
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
 * Number of token ids. It follows from the tokenizer.
 */
vocab_size: number, 
/**
 * Number of transformer blocks, one after the other.
 */
num_hidden_layers: number, 
/**
 * Size of the vector that represents each token inside the model. The cost grows with its square.
 */
hidden_size: number, 
/**
 * Number of attention heads: how many places each block can attend to at the same time.
 */
num_attention_heads: number, 
/**
 * Longest sequence that the model can process. At least `seq_len`.
 */
max_position_embeddings: number, 
/**
 * Width of the hidden layer of each block's MLP.
 */
intermediate_size: number, 
/**
 * Number of key and value heads. Fewer than `num_attention_heads`, of which it must be a divisor, saves memory by
 * sharing them between query heads (grouped-query attention).
 */
num_key_value_heads: number, 
/**
 * Size of each head's queries, keys and values.
 */
head_dim: number, 
/**
 * How the model knows the order of the tokens.
 */
position_embedding: PositionEmbedding, 
/**
 * Base of the rotary frequencies. Larger values suit longer contexts.
 */
rope_theta: number, 
/**
 * Scaling of the rotary frequencies for sequences longer than those of the first training, with Hugging Face's keys
 * rope_type, factor, low_freq_factor, high_freq_factor and original_max_position_embeddings.
 */
rope_scaling: RopeScaling | null, 
/**
 * Normalization before each half of a block, which keeps the scale of activations even, so that deep models train.
 */
norm: NormKind, 
/**
 * Added inside the normalization's square root for numerical stability.
 */
norm_eps: number, 
/**
 * Adds a bias in LayerNorm.
 */
norm_bias: boolean, 
/**
 * Activation function of the MLP. SwiGLU uses three matrices instead of two.
 */
hidden_act: HiddenAct, 
/**
 * Uses one matrix for query, key and value, as GPT-2's files do. It does not change the result.
 */
fused_qkv: boolean, 
/**
 * Adds biases in the projections of attention.
 */
attention_bias: boolean, 
/**
 * Adds biases in the MLP.
 */
mlp_bias: boolean, 
/**
 * Uses the token embedding as the output head as well, which saves parameters.
 */
tie_word_embeddings: boolean, 
/**
 * Normalizes each head's queries and keys, which makes high learning rates safer.
 */
qk_norm: boolean, 
/**
 * Caps attention scores smoothly at this value.
 */
attn_logit_softcapping: number | null, 
/**
 * Caps the output logits smoothly at this value.
 */
final_logit_softcapping: number | null, 
/**
 * Number of most recent tokens, itself included, that each token attends to.
 */
sliding_window: number | null, 
/**
 * Probability with which activations are set to zero in training, against overfitting: of embeddings, attention
 * weights and both residual branches. Preference pairs are trained without.
 */
dropout: number, 
/**
 * How weights are initialized: with one standard deviation for all matrices, or by the size of each.
 */
init: InitScheme, 
/**
 * Standard deviation of initial weights and embeddings.
 */
initializer_range: number, 
/**
 * Token that begins a text, if any. It follows from the tokenizer.
 */
bos_token_id: number | null, 
/**
 * Token that ends a text, if any. Sampling stops at it. It follows from the tokenizer.
 */
eos_token_id: number | null, };

export type OptimizerKind = "adamw" | "muon";

export type Precision = "f32" | "f16" | "bf16";

export type ScheduleKind = "cosine" | "linear" | "constant" | "warmup_stable_decay";

export type TrainConfig = { 
/**
 * Number of training steps. Each step updates the weights once.
 */
steps: number, 
/**
 * Number of sequences, or preference pairs, in each batch. Larger batches give steadier updates, and need more time
 * and memory per step.
 */
batch_size: number, 
/**
 * Number of batches whose gradients are averaged into one step: a larger batch without more memory.
 */
grad_accum: number, 
/**
 * Keeps only the input of each block and computes the rest again in the backward pass: less memory for about a third
 * more time.
 */
gradient_checkpointing: boolean, 
/**
 * Number format of the forward and backward pass. 16 bits need half the memory where the device supports them.
 * Weights, optimizer state, evaluation and sampling are f32 always.
 */
precision: Precision, 
/**
 * Seed of initial weights, batches and dropout. The same seed, settings and device give the same run.
 */
seed: number, 
/**
 * Number of steps between measurements of the validation loss. With 0, it is measured at the end only.
 */
eval_every: number, 
/**
 * Algorithm that turns gradients into weight updates. Muon updates the matrices of the blocks, AdamW the rest.
 */
optimizer: OptimizerKind, 
/**
 * Peak learning rate of AdamW: how large each update is. If it is too high, the loss jumps or becomes NaN.
 */
lr: number, 
/**
 * Decay rate of AdamW's running mean of gradients. Higher values average over more steps.
 */
beta1: number, 
/**
 * Decay rate of AdamW's running mean of squared gradients. Higher values average over more steps.
 */
beta2: number, 
/**
 * Added to AdamW's denominator for numerical stability.
 */
eps: number, 
/**
 * Decoupled weight decay: shrinks matrices and embeddings a little at every step. 0 turns it off.
 */
weight_decay: number, 
/**
 * Peak learning rate of the matrices that Muon updates. It follows the same schedule as `lr`.
 */
muon_lr: number, 
/**
 * Momentum of Muon. Higher values average over more steps.
 */
muon_momentum: number, 
/**
 * Largest allowed norm of all gradients together; larger gradients are scaled down to it. 0 turns it off.
 */
grad_clip: number, 
/**
 * How the learning rate changes over the run, after warm-up.
 */
schedule: ScheduleKind, 
/**
 * Learning rate at the end of the schedule.
 */
min_lr: number, 
/**
 * Number of steps over which the learning rate rises from 0, so that the first updates are small.
 */
warmup_steps: number, 
/**
 * Number of steps at the end over which warmup_stable_decay lowers the learning rate.
 */
decay_steps: number, 
/**
 * Weight of the z-loss, which keeps the logits from drifting: the squared logarithm of the softmax normalizer is
 * added to the training loss, and never to a validation loss. 0 turns it off.
 */
z_loss: number, 
/**
 * DPO temperature β: larger values keep the model closer to the one that tuning starts from. Only used with
 * preference pairs.
 */
dpo_beta: number, 
/**
 * Rank of the adapters: instead of each weight matrix W, two narrow matrices A and B beside it are trained, which
 * needs much less memory for gradients and optimizer state. 0 trains the weights themselves.
 */
lora_rank: number, 
/**
 * Scaling numerator: the adapters' product is multiplied by α ∕ rank.
 */
lora_alpha: number, 
/**
 * Projections that get an adapter, as in PEFT's target_modules: all, or some of q_proj, k_proj, v_proj (qkv_proj
 * where they are one matrix, as in GPT-2), o_proj, gate_proj, up_proj and down_proj.
 */
lora_targets: Array<string>, 
/**
 * Trains the embedding and the head in full beside the adapters, as PEFT's modules_to_save does. Always on where
 * the chat template adds tokens to the model.
 */
lora_embeddings: boolean, 
/**
 * Number of steps between saved checkpoints. With 0, one is saved at the end only.
 */
save_every: number, 
/**
 * Number of newest checkpoints that are kept beside the one with the lowest validation loss.
 */
keep_last: number, 
/**
 * Number of older checkpoints that are kept as well, spread evenly over the run. A run can branch from them, and
 * the page plays them back under Look inside.
 */
keep_spread: number, };

export type DataKind = "text" | "conversations" | "preferences";

export type DataOrder = "random" | "sequential";

export type DataConfig = { 
/**
 * Kind of the training examples. It follows from the data.
 */
kind: DataKind, 
/**
 * Number of tokens in each training sequence. The cost of attention per token grows with it.
 */
seq_len: number, 
/**
 * Share of the data, at its end, that is held out to measure the validation loss.
 */
val_fraction: number, 
/**
 * Where training windows start: at random tokens, or one after the other so that each is seen once per epoch.
 */
order: DataOrder, 
/**
 * Excludes predictions across the end of a document from the loss. The data needs end-of-text tokens.
 */
document_boundaries: boolean, };

export type SampleConfig = { 
/**
 * Largest number of tokens to generate.
 */
max_new_tokens: number, 
/**
 * Divides the logits: low values make the text predictable, high values make it varied. 0 always takes the most
 * likely token.
 */
temperature: number, 
/**
 * Samples from the k most likely tokens only. 0 keeps all.
 */
top_k: number, 
/**
 * Samples from the smallest set of tokens whose probabilities add up to this value. 1 keeps all.
 */
top_p: number, 
/**
 * Drops tokens whose probability is below this share of the most likely token's. 0 keeps all.
 */
min_p: number, 
/**
 * Makes tokens that already occur less likely: divides their positive logits and multiplies their negative ones.
 * 1 turns it off.
 */
repetition_penalty: number, 
/**
 * Stops before this text. Several can be given.
 */
stop: Array<string>, 
/**
 * Seed of the random numbers. The same seed gives the same text.
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
 * Number of parameters. A tied embedding counts once.
 */
parameters: number, 
/**
 * Number of trained parameters: all, or those of the adapters, which `parameters` does not include.
 */
trained_parameters: number, 
/**
 * Number of parameters without token and position embeddings (N of Kaplan et al. 2020).
 */
non_embedding_parameters: number, 
/**
 * Floating-point operations per token of one forward pass at `seq_len`.
 */
forward_flops_per_token: number, 
/**
 * Floating-point operations per token of forward and backward pass (PaLM's convention: 6N + 12LHQT).
 */
train_flops_per_token: number, 
/**
 * Bytes of the weights in f32, adapters included.
 */
weight_bytes: number, 
/**
 * Bytes of weights and, for trained parameters, gradients and AdamW's two moments, all in f32.
 */
state_bytes: number, 
/**
 * Bytes of the activations kept for the backward pass and, in 16 bits, of the weights' rounded copies. Accurate
 * within about a factor of two.
 */
activation_bytes: number, 
/**
 * Bytes of the KV cache of one sequence at full context, in f32.
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
 * Metrics that its training and evaluation report beside the loss, in the order to show them.
 */
metrics: Array<MetricInfo>, 
/**
 * Something the user should know, such as a corpus other than the run's own.
 */
notice: string | null, };

export type MetricInfo = { 
/**
 * Key of the metric in [`StepEvent::metrics`].
 */
name: string, 
/**
 * Words to show beside the value.
 */
label: string, 
/**
 * What is measured and how to read it.
 */
description: string, 
/**
 * How to print the value.
 */
format: Format, };

export type Format = { "decimals": number } | "percent";

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
 * Mean loss of the step's batch over the objective's terms: nats per token, or per preference pair.
 */
loss: number, 
/**
 * Metrics by name; [`RunInfo::metrics`] describes them.
 */
metrics: { [key in string]: number }, 
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
 * Mean loss over the objective's terms: nats per token, or per preference pair.
 */
loss: number, 
/**
 * Metrics by name; [`RunInfo::metrics`] describes them.
 */
metrics: { [key in string]: number }, } | { "type": "live_sample", 
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
