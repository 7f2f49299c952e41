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

export type EndTokens = number | Array<number> | null;

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
 * Number of key and value heads, a divisor of `num_attention_heads`. Fewer save memory: query heads share them
 * (grouped-query attention).
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
 * Tokens that end a text, if any. Sampling stops at each. They follow from the tokenizer.
 */
eos_token_id: EndTokens, };

export type Accumulation = "chain" | "tree";

export type OptimizerKind = "adamw" | "muon";

export type Precision = "f32" | "tf32" | "f16" | "bf16";

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
 * Order in which the gradients of a step's batches are added up. Replicas of the model (dp) need the tree, which is
 * the default on several ranks.
 */
accumulation: Accumulation, 
/**
 * Keeps only the input of each block and computes the rest again in the backward pass: less memory for about a third
 * more time.
 */
gradient_checkpointing: boolean, 
/**
 * Number format of the forward and backward pass. 16 bits need half the memory where the device supports them;
 * tf32 makes matrix products on CUDA faster. Weights, optimizer state, evaluation and sampling are f32 always.
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
 * Number of steps at the end over which the learning rate falls.
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
 * Low values make the text predictable, high values make it varied: the logits are divided by it. 0 always takes
 * the most likely token.
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
 * Bytes of weights and, for trained parameters, gradients and the optimizer's moments (two of AdamW, one of Muon for
 * the matrices of the blocks), all in f32.
 */
state_bytes: number, 
/**
 * Bytes of the activations kept for the backward pass and, in 16 bits, of the weights' rounded copies.
 */
activation_bytes: number, 
/**
 * Bytes in use at the peak of a step: of state and activations together, since gradients replace activations.
 */
step_bytes: number, 
/**
 * Bytes of the KV cache of one sequence at full context, in f32.
 */
kv_cache_bytes: number, 
/**
 * Bytes of weights and optimizer state, as they are copied to save a checkpoint.
 */
checkpoint_bytes: number, 
/**
 * Bytes of the largest single tensor: a weight or the activations of a layer.
 */
largest_tensor_bytes: number, };

export type PresetInfo = { 
/**
 * Name.
 */
name: string, 
/**
 * Description in one line.
 */
description: string, 
/**
 * `char`, `byte`, `bpe:N` or `wordpiece:N`.
 */
tokenizer: string, 
/**
 * Model configuration.
 */
model: ModelConfig, 
/**
 * Training settings.
 */
train: TrainConfig, 
/**
 * Data settings.
 */
data: DataConfig, 
/**
 * Steps between two live samples.
 */
sample_every: number, };

export type ExampleInfo = { 
/**
 * Name.
 */
name: string, 
/**
 * Description.
 */
about: string, };

export type FoundText = { 
/**
 * Plain text, or JSON Lines if one of the files holds JSON records.
 */
text: string, 
/**
 * Number and form of the records and the keys that are not used; none for plain text.
 */
records: string | null, };

export type Explanation = { 
/**
 * What it does, and its usual values.
 */
tip: string, 
/**
 * A formula in which it stands; may be empty.
 */
formula: string, 
/**
 * Where it, or its usual value, was first described; may be empty.
 */
source: string, };

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
 * Name of the run: its name in the browser's storage, or its directory.
 */
name: string, 
/**
 * `char`, `byte`, `bpe:N` or `wordpiece:N`; natively also the path of a tokenizer.
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
 * Data settings, such as the sequence length.
 */
data: DataConfig, 
/**
 * Steps between two live samples; 0 turns them off.
 */
sample_every: number, };

export type GivenSettings = { 
/**
 * Keys of [`ModelConfig`].
 */
model: Record<string, unknown>, 
/**
 * Keys of [`TrainConfig`].
 */
train: Record<string, unknown>, 
/**
 * Keys of [`DataConfig`].
 */
data: Record<string, unknown>, 
/**
 * [`RunConfig::tokenizer`].
 */
tokenizer?: string, 
/**
 * [`RunConfig::sample_every`].
 */
sample_every?: number, };

export type FormSettings = { 
/**
 * The base with the given settings and those that follow from them.
 */
config: RunConfig, 
/**
 * Value that each given setting would have if it were not given, by key.
 */
defaults: Record<string, unknown>, 
/**
 * Keys of the settings for experts that do not follow from the preset and the basic settings.
 */
unusual: Array<string>, 
/**
 * Configuration of a fresh run with these settings.
 */
fresh: RunConfig, 
/**
 * Estimated costs of that run.
 */
estimate: Estimate, 
/**
 * Why that run cannot be trained on the device, in one line; none if it can.
 */
problem: string | null, };

export type NamedFile = { 
/**
 * Path of the file.
 */
name: string, 
/**
 * Contents of the file.
 */
bytes: Uint8Array, };

export type Curve = { 
/**
 * Steps in ascending order.
 */
steps: Array<number>, 
/**
 * Training loss.
 */
train: Array<number | null>, 
/**
 * Validation loss, of the evaluated steps.
 */
val: Array<number | null>, 
/**
 * Gradient norm.
 */
norm: Array<number | null>, 
/**
 * Learning rate.
 */
lr: Array<number | null>, 
/**
 * The objective's metrics by name.
 */
metrics: Record<string, Array<number | null>>, };

export type LiveSample = { 
/**
 * Step of the model.
 */
step: number, 
/**
 * Prompt and continuation.
 */
text: string, };

export type History = { 
/**
 * Figures of the training steps.
 */
curve: Curve, 
/**
 * Samples that were generated during training.
 */
samples: Array<LiveSample>, };

export type Draft = { "type": "ngram" } | { "type": "step", 
/**
 * Step of the checkpoint.
 */
step: number, } | { "type": "run", 
/**
 * Name of the run.
 */
run: string, };

export type Speculation = { 
/**
 * The drafter.
 */
draft: Draft, 
/**
 * Tokens guessed at a time, at least one.
 */
length: number, };

export type DraftStats = { 
/**
 * Proposed tokens.
 */
proposed: number, 
/**
 * Accepted tokens.
 */
accepted: number, 
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
 * Configuration of the run.
 */
config: RunConfig, 
/**
 * Training data.
 */
text: string, } | { "type": "fine_tune", 
/**
 * Configuration of the run. Tokenizer and architecture, except for dropout, are those of the current model.
 */
config: RunConfig, 
/**
 * Training data.
 */
text: string, } | { "type": "text", 
/**
 * Training data; for exact resumption it must be the run's own.
 */
text: string, } | { "type": "train", 
/**
 * Step number, counted from the start of the run.
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
 * Total number of steps, after which training stops.
 */
steps: number | null, } | { "type": "generate", 
/**
 * Id chosen by the page, repeated in the answers.
 */
id: number, 
/**
 * Prompt.
 */
prompt: string, 
/**
 * Prompt as token ids, used instead of the text.
 */
ids: Array<number> | null, 
/**
 * Conversation, used instead of both; the assistant's next message is generated.
 */
messages?: Array<Message>, 
/**
 * Sampling settings.
 */
config: SampleConfig, 
/**
 * How many alternatives to report with each token.
 */
alternatives: number, 
/**
 * Speculative decoding: the same text in fewer forward passes.
 */
draft?: Speculation, } | { "type": "cancel_generate", 
/**
 * Id of the generation; by default all.
 */
id: number | null, } | { "type": "save" } | { "type": "runs" } | { "type": "restore", 
/**
 * Name of the run.
 */
run: string, 
/**
 * Step of the checkpoint to load; by default the newest. Training from an older one replaces the checkpoints
 * after it.
 */
step: number | null, 
/**
 * Name of a new run that branches from the checkpoint; the original run stays unchanged.
 */
branch: string | null, } | { "type": "delete", 
/**
 * Name of the run.
 */
run: string, } | { "type": "export", 
/**
 * The stored run whose newest checkpoint it is; otherwise the current run, as it is now.
 */
run: string | null, 
/**
 * Its curves and samples, to be packed too.
 */
history?: History, } | { "type": "open", 
/**
 * Name of the file, from which the run's name is derived.
 */
name: string, 
/**
 * Contents of the zip file.
 */
bytes: Uint8Array, } | { "type": "open_files", 
/**
 * Name of the run.
 */
name: string, 
/**
 * Files of the directory.
 */
files: Array<NamedFile>, } | { "type": "profile", 
/**
 * Number of steps.
 */
steps: number, } | { "type": "check", 
/**
 * Golden case.
 */
golden: GoldenCase, };

export type Token = { 
/**
 * Token id.
 */
id: number, 
/**
 * Text of the token; bytes that are not valid UTF-8 are written as `\xNN`.
 */
text: string, };

export type Part = { 
/**
 * Index of the block, from 0.
 */
layer: number, 
/**
 * Index of the query head, from 0; none for the MLP.
 */
head: number | null, 
/**
 * Index of the neuron, from 0; none for a head or the whole MLP.
 */
neuron: number | null, };

export type Candidate = { 
/**
 * Token.
 */
token: Token, 
/**
 * Probability from the model.
 */
probability: number, 
/**
 * Probability that the sampler draws it; 0 if it was filtered out.
 */
drawn: number, };

export type Drawn = { 
/**
 * Token.
 */
token: Token, 
/**
 * Probability from the model.
 */
probability: number, 
/**
 * Number of tokens left after filtering.
 */
kept: number, 
/**
 * Most likely tokens, as many as requested.
 */
alternatives: Array<Candidate>, 
/**
 * Text that each alternative would add; none if it ends inside a character.
 */
continuations: Array<string | null>, 
/**
 * Proposals of the drafter for this and the following positions; empty if nothing was proposed.
 */
guessed: Array<Token>, };

export type Likely = { 
/**
 * Token.
 */
token: Token, 
/**
 * Probability.
 */
probability: number, };

export type LensCell = { 
/**
 * Most likely tokens with their probabilities, most likely first.
 */
top: Array<Likely>, 
/**
 * Entropy of the distribution in bits.
 */
entropy: number, };

export type Inspection = { 
/**
 * The step of the inspected model.
 */
step: number, 
/**
 * Tokens of the text, `[T]`.
 */
tokens: Array<Token>, 
/**
 * Number of blocks.
 */
layers: number, 
/**
 * Number of query heads per block.
 */
heads: number, 
/**
 * Attention weights `[L, H, T, T]` as little-endian f32, with queries as rows and keys as columns; each row sums
 * to 1.
 */
attention: Uint8Array, 
/**
 * Root mean square of the residual stream before each block and after the last, `[L + 1, T]`.
 */
residual_rms: Array<number>, 
/**
 * Root mean square of attention's output, `[L, T]`.
 */
attention_rms: Array<number>, 
/**
 * Root mean square of the MLP's output, `[L, T]`.
 */
mlp_rms: Array<number>, 
/**
 * Logit lens: predictions of the head from the residual stream, `[L + 1][T]`.
 */
lens: Array<Array<LensCell>>, 
/**
 * Negative log-likelihood of each token but the first, in nats, `[T - 1]`.
 */
losses: Array<number>, 
/**
 * Losses without the ablation; none if nothing was ablated.
 */
losses_before: Array<number> | null, 
/**
 * Most likely next tokens after the text, sampled without filters. After an ablation those that were most likely
 * before it follow.
 */
next: Array<Candidate>, 
/**
 * The same tokens without the ablation; none if nothing was ablated.
 */
next_before: Array<Candidate> | null, };

export type Promoted = { 
/**
 * Token.
 */
token: Token, 
/**
 * Increase of its logit, before the division of the final norm.
 */
logit: number, };

export type Circuit = { 
/**
 * The step of the inspected model.
 */
step: number, 
/**
 * Tokens of the text, `[T]`.
 */
tokens: Array<Token>, 
/**
 * Attention scores before mask and softmax, `[T, T]` as little-endian f32, with queries as rows and keys as
 * columns.
 */
scores: Uint8Array, 
/**
 * Scores of the token embeddings alone, without positions: the QK circuit, `[T, T]`.
 */
scores_alone: Uint8Array, 
/**
 * OV circuit: for each token, the tokens that the head promotes when it attends to it, strongest first.
 */
promoted: Array<Array<Promoted>>, };

export type NeuronReport = { 
/**
 * Index in the block, from 0.
 */
neuron: number, 
/**
 * Activation at each token, `[T]`.
 */
activations: Array<number>, 
/**
 * Tokens that a positive activation promotes, strongest first; a negative activation suppresses them.
 */
promoted: Array<Promoted>, };

export type CacheReport = { 
/**
 * Tokens of the text, `[T]`.
 */
tokens: Array<Token>, 
/**
 * Root mean square of each token's keys over all heads, `[L, T]`.
 */
keys: Array<number>, 
/**
 * Root mean square of each token's values over all heads, `[L, T]`.
 */
values: Array<number>, 
/**
 * Capacity in tokens.
 */
context: number, 
/**
 * Bytes per token in all blocks.
 */
token_bytes: number, };

export type AnswerReport = { 
/**
 * Text of the completion, including the token that ends it.
 */
text: string, 
/**
 * Tokens.
 */
tokens: number, 
/**
 * Sum of the tokens' log-probabilities in nats.
 */
log_probability: number, 
/**
 * Log-probability under the reference model in nats.
 */
reference: number, };

export type PairReport = { 
/**
 * Number of training pairs.
 */
pairs: number, 
/**
 * Text before the completions.
 */
prompt: string, 
/**
 * DPO temperature β.
 */
beta: number, 
/**
 * Chosen completion.
 */
chosen: AnswerReport, 
/**
 * Rejected completion.
 */
rejected: AnswerReport, };

export type TokenizerReport = { 
/**
 * Specification.
 */
spec: string, 
/**
 * Vocabulary size, including special tokens.
 */
vocab_size: number, 
/**
 * Bytes per token on the training text.
 */
bytes_per_token: number, 
/**
 * Training time in milliseconds.
 */
train_ms: number, 
/**
 * The tokenized text.
 */
tokens: Array<Token>, 
/**
 * Error, if the tokenizer could not be trained or could not encode the text.
 */
problem: string | null, };

export type Merge = { 
/**
 * Left token.
 */
left: string, 
/**
 * Right token.
 */
right: string, 
/**
 * Occurrences of the pair in the training text at the time of the merge.
 */
count: number, };

export type Stage = { 
/**
 * Number of merges.
 */
merges: number, 
/**
 * The tokenized text.
 */
tokens: Array<Token>, };

export type TensorStats = { 
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
 * Lower end of the histogram: above `min` if few values are so far out that the others would share a few bins.
 */
low: number, 
/**
 * Upper end of the histogram, chosen likewise.
 */
high: number, 
/**
 * Histogram with equal bins over `[low, high]`. The first and the last bin also count the values beyond them.
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
weights: TensorStats, 
/**
 * Statistics of the gradients on the run's next batch; none without training data.
 */
gradients: TensorStats | null, };

export type ActivationReport = { 
/**
 * Path of the module: `embed_tokens` (with positions added), `layers.0.self_attn`, `layers.0.mlp.act` (activated
 * neurons), `layers.0.mlp`, `layers.0` (residual stream after the block) and so on.
 */
name: string, 
/**
 * Statistics of its output at all tokens.
 */
stats: TensorStats, };

export type Query = { "type": "tokens", 
/**
 * Text.
 */
text: string, } | { "type": "vocabulary" } | { "type": "tokenizers", 
/**
 * Training text.
 */
corpus: string, 
/**
 * Text to tokenize.
 */
text: string, 
/**
 * Specifications: `char`, `byte`, `bpe:N` or `wordpiece:N`.
 */
specs: Array<string>, } | { "type": "merges", 
/**
 * Training text.
 */
corpus: string, 
/**
 * Text to tokenize.
 */
text: string, 
/**
 * Vocabulary size.
 */
vocab_size: number, } | { "type": "inspect", 
/**
 * Text, truncated to its last 256 tokens or the context, whichever is shorter, since attention weights grow
 * quadratically.
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, 
/**
 * Components to ablate.
 */
ablate: Array<Part>, 
/**
 * Number of most likely tokens that the logit lens reports at each position.
 */
top: number, } | { "type": "cut", 
/**
 * Text, truncated to its end if it exceeds the context.
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, 
/**
 * Sampling settings.
 */
config: SampleConfig, 
/**
 * Number of tokens to report, most likely first.
 */
top: number, } | { "type": "tensors", 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, } | { "type": "fit", 
/**
 * The settings.
 */
config: RunConfig, } | { "type": "embeddings", 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, 
/**
 * Maximum number of tokens, in order of their ids; at least 1. Their components are the map's axes.
 */
limit: number, 
/**
 * Tokens that contain this text are added, as many again at most. None are added for an empty text.
 */
find: string, } | { "type": "circuit", 
/**
 * Text, truncated as in [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, 
/**
 * Index of the block, from 0.
 */
layer: number, 
/**
 * Index of the query head, from 0.
 */
head: number, 
/**
 * Number of promoted tokens to report for each token of the text.
 */
top: number, } | { "type": "neurons", 
/**
 * Text, truncated as in [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, 
/**
 * Index of the block, from 0.
 */
layer: number, 
/**
 * Index of the token, from 0.
 */
place: number, 
/**
 * Number of neurons.
 */
count: number, 
/**
 * Number of promoted tokens per neuron.
 */
top: number, } | { "type": "activations", 
/**
 * Text, truncated as in [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, } | { "type": "cached", 
/**
 * Text, truncated as in [`Query::Inspect`].
 */
text: string, 
/**
 * The model of this step, from its kept checkpoint, instead of the current model.
 */
step: number | null, } | { "type": "pair", 
/**
 * Index of the pair, from 0.
 */
number: number, } | { "type": "speed", 
/**
 * Configuration to measure.
 */
config: RunConfig, };

export type Answer = { "type": "tokens", 
/**
 * Tokens.
 */
tokens: Array<Token>, } | { "type": "vocabulary", 
/**
 * Tokens in order of their ids.
 */
tokens: Array<Token>, 
/**
 * Ids of the special tokens.
 */
special: Array<number>, } | { "type": "tokenizers", 
/**
 * Reports in the order of the specifications.
 */
reports: Array<TokenizerReport>, } | { "type": "merges", 
/**
 * Merges in order.
 */
merges: Array<Merge>, 
/**
 * The text tokenized with an increasing number of merges, ending with all.
 */
stages: Array<Stage>, } | { "type": "inspect", 
/**
 * Results.
 */
inspection: Inspection, } | { "type": "cut", 
/**
 * Most likely tokens with their probabilities before and after filtering.
 */
candidates: Array<Candidate>, 
/**
 * Number of tokens left after filtering.
 */
kept: number, } | { "type": "tensors", 
/**
 * Reports in the model's order.
 */
tensors: Array<TensorReport>, } | { "type": "fit", 
/**
 * The settings.
 */
config: RunConfig, } | { "type": "embeddings", 
/**
 * Tokens.
 */
tokens: Array<Token>, 
/**
 * Coordinates of each token.
 */
points: Array<[number, number]>, 
/**
 * Fraction of the variance along each axis.
 */
explained: [number, number], } | { "type": "circuit", 
/**
 * Results.
 */
circuit: Circuit, } | { "type": "neurons", 
/**
 * Neurons, largest contribution first.
 */
neurons: Array<NeuronReport>, } | { "type": "activations", 
/**
 * Reports in the order of the forward pass.
 */
activations: Array<ActivationReport>, } | { "type": "cached", 
/**
 * Results.
 */
cache: CacheReport, } | { "type": "pair", 
/**
 * Results.
 */
pair: PairReport, } | { "type": "speed", 
/**
 * Tokens per second; none if even a part of the model is too large, or if the worker was busy.
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
 * Reason for the choice, if it was automatic or is not the requested device; on CUDA, that for the library of matrix
 * products.
 */
reason: string | null, 
/**
 * Memory for models, as it was when the device was opened; none for a device that is only listed.
 */
room: Room | null, };

export type Room = { 
/**
 * Bytes of this program, which reads and writes checkpoints and computes on the CPU.
 */
host: number, 
/**
 * Bytes on the device; none if it does not report them.
 */
device: number | null, 
/**
 * True if the device computes in the program's own memory.
 */
shared: boolean, 
/**
 * Bytes of the device's largest tensor; none if only memory limits it.
 */
largest_tensor: number | null, };

export type RunSummary = { 
/**
 * Name.
 */
name: string, 
/**
 * Step of the newest checkpoint.
 */
step: number, 
/**
 * Time of that checkpoint in milliseconds since 1970-01-01 UTC.
 */
saved_at: number, 
/**
 * Configuration; none if its files cannot be read.
 */
config: RunConfig | null, 
/**
 * Number of parameters.
 */
parameters: number, 
/**
 * Training tokens processed.
 */
tokens_seen: number, 
/**
 * Lowest validation loss so far.
 */
best_val_loss: number | null, 
/**
 * Steps of the kept checkpoints in ascending order.
 */
kept: Array<number>, 
/**
 * Size in bytes.
 */
bytes: number, 
/**
 * The stored run whose weights it shares, as runs with adapters do; none if its own files are complete.
 */
base: string | null, 
/**
 * True if the model was trained on conversations and can chat.
 */
has_chat_template: boolean, };

export type RunInfo = { 
/**
 * Configuration; `model.vocab_size` is the tokenizer's.
 */
config: RunConfig, 
/**
 * Completed steps.
 */
step: number, 
/**
 * Estimated costs.
 */
estimate: Estimate, 
/**
 * Number of training tokens; 0 without training data.
 */
train_tokens: number, 
/**
 * Number of validation tokens.
 */
val_tokens: number, 
/**
 * Bytes per token on the training data; 0 without training data.
 */
bytes_per_token: number, 
/**
 * Device.
 */
device: DeviceInfo, 
/**
 * True if the model was trained on conversations and can chat.
 */
has_chat_template: boolean, 
/**
 * True if the run can be trained; false until it has a text.
 */
trainable: boolean, 
/**
 * Metrics that its training and evaluation report beside the loss, in the order to show them.
 */
metrics: Array<MetricInfo>, 
/**
 * Notice for the user, such as training data that differs from the run's own.
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
 * Completed steps, including this one.
 */
step: number, 
/**
 * Total number of steps.
 */
steps: number, 
/**
 * Mean loss of the step's batch over the objective's terms: nats per token, or per preference pair.
 */
loss: number, 
/**
 * Metrics by name; [`MetricInfo`] describes them.
 */
metrics: { [key in string]: number }, 
/**
 * Global gradient norm before clipping; none if gradients overflowed in f16 and the step was skipped.
 */
grad_norm: number | null, 
/**
 * Learning rate.
 */
lr: number, 
/**
 * Training tokens processed since the start of the run.
 */
tokens: number, 
/**
 * Recent tokens per second.
 */
tokens_per_second: number, 
/**
 * Estimated seconds until the last step.
 */
seconds_left: number, 
/**
 * Fraction of recent time in which the GPU computed, by its timestamps; none if it was not measured.
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
 * Device.
 */
device: DeviceInfo, 
/**
 * Runs in the browser's storage, newest first.
 */
runs: Array<RunSummary>, } | { "type": "progress", 
/**
 * Description of the work.
 */
stage: string, 
/**
 * Units done.
 */
done: number, 
/**
 * Total units; 0 if unknown.
 */
total: number, } | { "type": "loaded", 
/**
 * The loaded run.
 */
info: RunInfo, } | { "type": "history", 
/**
 * The curves and samples.
 */
history: History, } | { "type": "gone" } | { "type": "adjusted", 
/**
 * All current training settings.
 */
config: RunConfig, 
/**
 * Current costs.
 */
estimate: Estimate, } | { "type": "training", 
/**
 * True if training is running.
 */
running: boolean, 
/**
 * Completed steps.
 */
step: number, } | { "type": "diverged", 
/**
 * The step, from 1, whose loss was not finite.
 */
step: number, 
/**
 * Step of the newest kept checkpoint with which losses were finite; none if there is none.
 */
good: number | null, } | { "type": "step", 
/**
 * Metrics of the last step.
 */
report: StepEvent, } | { "type": "evaluated", 
/**
 * Step of the model.
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
 * Step of the model.
 */
step: number, 
/**
 * Prompt and continuation.
 */
text: string, } | { "type": "text", 
/**
 * Id of the generation.
 */
id: number, 
/**
 * New complete characters.
 */
text: string, 
/**
 * Tokens generated so far.
 */
tokens: number, 
/**
 * Mean tokens per second so far.
 */
tokens_per_second: number, 
/**
 * Tokens of the prompt; only in the first event.
 */
prompt: Array<Token>, 
/**
 * Tokens sampled since the last event.
 */
drawn: Array<Drawn>, 
/**
 * Number of oldest messages that were dropped for lack of context; only in the first event.
 */
dropped: number, 
/**
 * Prompt tokens that were already in the KV cache; only in the first event.
 */
reused: number, 
/**
 * Acceptance statistics of speculative decoding so far, if enabled.
 */
draft_stats: DraftStats | null, 
/**
 * True for the last event.
 */
done: boolean, } | { "type": "saved", 
/**
 * Name of the run.
 */
run: string, 
/**
 * Step of the checkpoint.
 */
step: number, } | { "type": "runs", 
/**
 * Runs, newest first.
 */
runs: Array<RunSummary>, } | { "type": "archive", 
/**
 * Suggested file name.
 */
name: string, 
/**
 * Contents of the zip file.
 */
bytes: Uint8Array, } | { "type": "profiled", 
/**
 * Results.
 */
report: ProfileReport, } | { "type": "checked", 
/**
 * Results.
 */
report: CheckReport, } | { "type": "failed", 
/**
 * What failed, where, and what to do, in one line.
 */
message: string, };
