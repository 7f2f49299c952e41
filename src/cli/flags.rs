//! The flags that are settings, under the settings' own names.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// All flags that are settings.
#[derive(Args)]
pub struct SettingsArgs {
    #[command(flatten)]
    pub(super) model: ModelFlags,
    #[command(flatten)]
    pub(super) train: TrainFlags,
    #[command(flatten)]
    pub(super) data: DataFlags,
    /// Print a sample every so many steps; 0 never
    #[arg(long, value_name = "N")]
    pub(super) sample_every: Option<u64>,
}

/// Preset and settings file.
#[derive(Args)]
pub struct BaseArgs {
    /// Named starting point: tiny, small, char, gpt2[-medium|-large|-xl], llama-60m, -130m, -350m, -1b, -7b
    /// [default: tiny]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// JSON file {"model": {…}, "train": {…}, "data": {…}, "tokenizer": "…", "sample_every": N}, laid over
    /// the preset
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The architecture.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Architecture (fresh models)")]
pub struct ModelFlags {
    /// Width of the residual stream
    #[arg(long, value_name = "N")]
    hidden_size: Option<usize>,
    /// Width inside the MLP [default: 4 times --hidden-size, 8/3 with swiglu]
    #[arg(long, value_name = "N")]
    intermediate_size: Option<usize>,
    /// Blocks
    #[arg(long = "layers", value_name = "N")]
    num_hidden_layers: Option<usize>,
    /// Query heads
    #[arg(long = "heads", value_name = "N")]
    num_attention_heads: Option<usize>,
    /// Key and value heads [default: --heads]
    #[arg(long = "kv-heads", value_name = "N")]
    num_key_value_heads: Option<usize>,
    /// Longest sequence [default: --seq-len]
    #[arg(long, value_name = "N")]
    max_position_embeddings: Option<usize>,
    /// How positions enter
    #[arg(long, value_parser = ["learned", "sinusoidal", "rope", "none"])]
    position_embedding: Option<String>,
    /// Normalization
    #[arg(long, value_parser = ["layer_norm", "rms_norm"])]
    norm: Option<String>,
    /// MLP
    #[arg(long, value_parser = ["gelu", "gelu_erf", "swiglu", "relu2"])]
    hidden_act: Option<String>,
    /// Use the token embedding as the head
    #[arg(long, value_name = "BOOL")]
    tie_word_embeddings: Option<bool>,
    /// Normalize each query and key head
    #[arg(long, value_name = "BOOL")]
    qk_norm: Option<bool>,
    /// Keys that a query sees, its own included [default: all before it]
    #[arg(long, value_name = "N")]
    sliding_window: Option<usize>,
    /// How fresh weights are drawn
    #[arg(long, value_parser = ["gpt2", "fan_in"])]
    init: Option<String>,
    /// Probability of zeroing in training; preference pairs are learnt without
    #[arg(long, value_name = "X", value_parser = finite)]
    dropout: Option<f64>,
}

/// Optimizer, schedule and bookkeeping.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Training")]
pub struct TrainFlags {
    /// Optimizer steps in all
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Sequences per micro-batch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Micro-batches averaged into one step
    #[arg(long, value_name = "N")]
    grad_accum: Option<usize>,
    /// Optimizer; muon is for the blocks' matrices, with adamw for the rest
    #[arg(long, value_parser = ["adamw", "muon"])]
    optimizer: Option<String>,
    /// Peak learning rate of AdamW
    #[arg(long, value_name = "X", value_parser = finite)]
    lr: Option<f64>,
    /// Learning rate at the end of a decay [default: in proportion to --lr]
    #[arg(long, value_name = "X", value_parser = finite)]
    min_lr: Option<f64>,
    /// Learning rate over the steps
    #[arg(long, value_parser = ["constant", "cosine", "linear", "warmup_stable_decay"])]
    schedule: Option<String>,
    /// Steps of rising learning rate
    #[arg(long, value_name = "N")]
    warmup_steps: Option<u64>,
    /// Last steps over which warmup_stable_decay falls
    #[arg(long, value_name = "N")]
    decay_steps: Option<u64>,
    /// AdamW's first-moment decay
    #[arg(long, value_name = "X", value_parser = finite)]
    beta1: Option<f64>,
    /// AdamW's second-moment decay
    #[arg(long, value_name = "X", value_parser = finite)]
    beta2: Option<f64>,
    /// AdamW's denominator guard
    #[arg(long, value_name = "X", value_parser = finite)]
    eps: Option<f64>,
    /// Decoupled weight decay of matrices and embeddings
    #[arg(long, value_name = "X", value_parser = finite)]
    weight_decay: Option<f64>,
    /// Peak learning rate of Muon
    #[arg(long, value_name = "X", value_parser = finite)]
    muon_lr: Option<f64>,
    /// Muon's momentum
    #[arg(long, value_name = "X", value_parser = finite)]
    muon_momentum: Option<f64>,
    /// Bound on the gradient norm; 0 is off
    #[arg(long, value_name = "X", value_parser = finite)]
    grad_clip: Option<f64>,
    /// Weight of the squared logarithm of the softmax normalizer in the training loss; 1e-4 is usual
    #[arg(long, value_name = "X", value_parser = finite)]
    z_loss: Option<f64>,
    /// Preference pairs: how dear it is to leave the model given by --from [default: 0.1]
    #[arg(long, value_name = "X", value_parser = finite)]
    pub(super) dpo_beta: Option<f64>,
    /// Train adapters of this rank (LoRA) beside the frozen weights given by --from; 0 trains the weights [default: 0]
    #[arg(long, value_name = "N")]
    lora_rank: Option<usize>,
    /// How much adapters count: so many times over their rank [default: 16]
    #[arg(long, value_name = "X", value_parser = finite)]
    lora_alpha: Option<f64>,
    /// Projections with an adapter: all, or some of q_proj, k_proj, v_proj (qkv_proj where they are one), o_proj, gate_proj, up_proj,
    /// down_proj [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    lora_targets: Option<Vec<String>>,
    /// Beside adapters, train the embedding and the head in full; always so where turns bring new tokens
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    lora_embeddings: Option<bool>,
    /// Keep only what enters each block and compute the rest again: less memory, more time
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    gradient_checkpointing: Option<bool>,
    /// Type of the numbers that a step computes with; weights and moments stay f32
    #[arg(long, value_parser = ["f32", "f16", "bf16"])]
    precision: Option<String>,
    /// Seed of weights, batches and dropout
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Evaluate every so many steps; 0 only at the end
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Save every so many steps; 0 only at the end
    #[arg(long, value_name = "N")]
    save_every: Option<u64>,
    /// Checkpoints kept beside the best one
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Older checkpoints kept beside those, spread evenly over the steps
    #[arg(long, value_name = "N")]
    keep_spread: Option<usize>,
}

/// How text becomes batches.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Windows")]
pub struct DataFlags {
    /// Tokens per sequence
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Share of the tokens, at the end, kept for validation
    #[arg(long, value_name = "X", value_parser = finite)]
    val_fraction: Option<f64>,
    /// Windows at random places, or each once per epoch
    #[arg(long, value_parser = ["random", "sequential"])]
    order: Option<String>,
    /// Ignore targets that cross from one document into the next
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    document_boundaries: Option<bool>,
}

/// A number that settings can hold: JSON, in which they travel, has no others.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_string())?;
    if number.is_finite() { Ok(number) } else { Err("it is not finite".into()) }
}
