//! What answers are made of: tokens with their texts, and figures as the page shows them.

use serde::{Deserialize, Serialize};

pub use crate::inspect::{ActivationReport, Spread, TensorReport};

/// A token as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its text; bytes that are no text alone stand as `\xNN`.
    pub text: String,
}

/// One head of one block, one neuron of its MLP, or all of its MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Part {
    /// The block, from 0.
    pub layer: usize,
    /// The query head, from 0; none for the MLP.
    pub head: Option<usize>,
    /// The neuron of the MLP, from 0; none for all of it, and for a head.
    pub neuron: Option<usize>,
}

/// A tokenizer trained for comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TokenizerReport {
    /// As it was asked for.
    pub spec: String,
    /// Size of the vocabulary, special tokens included.
    pub vocab_size: usize,
    /// Bytes of the corpus per token.
    pub bytes_per_token: f64,
    /// Milliseconds that training took.
    pub train_ms: f64,
    /// The text, cut.
    pub tokens: Vec<Token>,
    /// Why it could not be trained, or could not cut the text.
    pub problem: Option<String>,
}

/// One learned merge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Merge {
    /// The first half.
    pub left: String,
    /// The second half.
    pub right: String,
    /// How often the pair occurred in the corpus when it was merged.
    pub count: u64,
}

/// A text cut with a vocabulary that is still growing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stage {
    /// Merges learned so far.
    pub merges: usize,
    /// The text, cut.
    pub tokens: Vec<Token>,
}

/// Inner values of one forward pass. `T` tokens, `L` blocks, `H` query heads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Inspection {
    /// The step of the inspected model.
    pub step: u64,
    /// The text's tokens, `T`.
    pub tokens: Vec<Token>,
    /// Blocks.
    pub layers: usize,
    /// Query heads per block.
    pub heads: usize,
    /// Attention weights `[L, H, T, T]`, little-endian f32: row `query`, column `key`; each row sums to one.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub attention: Vec<u8>,
    /// Root mean square of the residual stream `[L + 1, T]`: what enters each block, then what leaves the last.
    pub residual_rms: Vec<f32>,
    /// Root mean square of what attention adds to it, `[L, T]`.
    pub attention_rms: Vec<f32>,
    /// Root mean square of what the MLP adds to it, `[L, T]`.
    pub mlp_rms: Vec<f32>,
    /// Logit lens `[L + 1][T]`: what the stream would predict if the head read it there.
    pub lens: Vec<Vec<LensCell>>,
    /// Negative log-likelihood of each token given those before it, in nats; one fewer than tokens.
    pub losses: Vec<f32>,
    /// The same without the ablation; none if nothing was ablated.
    pub losses_before: Option<Vec<f32>>,
    /// The likeliest next tokens after the text, as many as the lens names, drawn as they are predicted; after an
    /// ablation those that were likeliest before it follow.
    pub next: Vec<Candidate>,
    /// The same tokens without the ablation; none if nothing was ablated.
    pub next_before: Option<Vec<Candidate>>,
}

/// What a head does (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"). `T` tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Circuit {
    /// The step of the inspected model.
    pub step: u64,
    /// The text's tokens, `T`.
    pub tokens: Vec<Token>,
    /// Scores before mask and softmax, as this text gives them, `[T, T]`, little-endian f32: row `query`, column
    /// `key`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub scores: Vec<u8>,
    /// The same of the tokens' embeddings alone, without positions: the QK circuit.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub scores_alone: Vec<u8>,
    /// For each token, what the head makes likelier when it looks at it: the OV circuit, most first.
    pub promoted: Vec<Vec<Promoted>>,
}

/// A neuron on a text of `T` tokens (Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by
/// Promoting Concepts in the Vocabulary Space").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NeuronReport {
    /// Its number in the block, from 0.
    pub neuron: usize,
    /// What the MLP's way down reads from it at each token, `T`.
    pub activations: Vec<f32>,
    /// What it makes likelier where it is positive, most first; less likely where it is negative.
    pub promoted: Vec<Promoted>,
}

/// The KV cache after a text: `T` tokens, `L` blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CacheReport {
    /// The text's tokens, `T`.
    pub tokens: Vec<Token>,
    /// Root mean square of each token's keys, all heads together, `[L, T]`.
    pub keys: Vec<f32>,
    /// Root mean square of its values, `[L, T]`.
    pub values: Vec<f32>,
    /// Tokens that it has room for.
    pub context: usize,
    /// Bytes that a token takes in all blocks.
    pub token_bytes: u64,
}

/// A token that a head or a neuron makes likelier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Promoted {
    /// The token.
    pub token: Token,
    /// What is added to its logit, before the last norm divides.
    pub logit: f32,
}

/// What the head would read from the residual stream at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LensCell {
    /// The likeliest tokens with their probabilities, likeliest first.
    pub top: Vec<Likely>,
    /// Entropy of the distribution in bits.
    pub entropy: f32,
}

/// A token and its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Likely {
    /// The token.
    pub token: Token,
    /// Its probability.
    pub probability: f32,
}

/// A token that a sampler considers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Candidate {
    /// The token.
    pub token: Token,
    /// The model's probability.
    pub probability: f32,
    /// The probability with which the sampler draws it: 0 if it was cut off.
    pub drawn: f32,
}

/// A token that was generated, and what else could have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Drawn {
    /// The token.
    pub token: Token,
    /// The model's probability of it.
    pub probability: f32,
    /// How many tokens could have been drawn.
    pub kept: usize,
    /// The likeliest tokens, as many as were asked for.
    pub alternatives: Vec<Candidate>,
    /// What each of them would add to the text; none where it ends inside a character, whose text the token
    /// after it decides.
    pub continuations: Vec<Option<String>>,
    /// What a draft guessed for its place and those after it, the token's own first; empty where nothing was guessed.
    pub guessed: Vec<Token>,
}

/// A preference pair as a model in tuning has it. An answer's reward is `beta` times its log-probability less that
/// under the reference; the margin is the chosen one's reward less the rejected one's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PairReport {
    /// How many training pairs there are.
    pub pairs: usize,
    /// What both answer, up to the answers' first tokens.
    pub prompt: String,
    /// How dear it is to leave the reference.
    pub beta: f64,
    /// The answer that was preferred.
    pub chosen: AnswerReport,
    /// The other one.
    pub rejected: AnswerReport,
}

/// How likely an answer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AnswerReport {
    /// The answer, with the mark that ends it.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// Its log-probability in nats, all tokens together.
    pub log_probability: f32,
    /// The same under the model that the tuning began with.
    pub reference: f32,
}
