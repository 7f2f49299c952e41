//! Parts of answers: tokens with their texts, and measurements for the page.

use serde::{Deserialize, Serialize};

pub use crate::inspect::{ActivationReport, TensorReport, TensorStats};

/// A token with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Token {
    /// Token id.
    pub id: u32,
    /// Text of the token; bytes that are not valid UTF-8 are written as `\xNN`.
    pub text: String,
}

/// A component to ablate: a head, a neuron or a whole MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Part {
    /// Index of the block, from 0.
    pub layer: usize,
    /// Index of the query head, from 0; none for the MLP.
    pub head: Option<usize>,
    /// Index of the neuron, from 0; none for a head or the whole MLP.
    pub neuron: Option<usize>,
}

/// A tokenizer trained for comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TokenizerReport {
    /// Specification.
    pub spec: String,
    /// Vocabulary size, including special tokens.
    pub vocab_size: usize,
    /// Bytes per token on the training text.
    pub bytes_per_token: f64,
    /// Training time in milliseconds.
    pub train_ms: f64,
    /// The tokenized text.
    pub tokens: Vec<Token>,
    /// Error, if the tokenizer could not be trained or could not encode the text.
    pub problem: Option<String>,
}

/// A merge of byte-pair encoding.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Merge {
    /// Left token.
    pub left: String,
    /// Right token.
    pub right: String,
    /// Occurrences of the pair in the training text at the time of the merge.
    pub count: u64,
}

/// A text tokenized with part of the merges.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Stage {
    /// Number of merges.
    pub merges: usize,
    /// The tokenized text.
    pub tokens: Vec<Token>,
}

/// Inner values of one forward pass. `T` tokens, `L` blocks, `H` query heads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Inspection {
    /// The step of the inspected model.
    pub step: u64,
    /// Tokens of the text, `[T]`.
    pub tokens: Vec<Token>,
    /// Number of blocks.
    pub layers: usize,
    /// Number of query heads per block.
    pub heads: usize,
    /// Attention weights `[L, H, T, T]` as little-endian f32, with queries as rows and keys as columns; each row sums
    /// to 1.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub attention: Vec<u8>,
    /// Root mean square of the residual stream before each block and after the last, `[L + 1, T]`.
    pub residual_rms: Vec<f32>,
    /// Root mean square of attention's output, `[L, T]`.
    pub attention_rms: Vec<f32>,
    /// Root mean square of the MLP's output, `[L, T]`.
    pub mlp_rms: Vec<f32>,
    /// Logit lens: predictions of the head from the residual stream, `[L + 1][T]`.
    pub lens: Vec<Vec<LensCell>>,
    /// Negative log-likelihood of each token but the first, in nats, `[T - 1]`.
    pub losses: Vec<f32>,
    /// Losses without the ablation; none if nothing was ablated.
    pub losses_before: Option<Vec<f32>>,
    /// Most likely next tokens after the text, sampled without filters. After an ablation those that were most likely
    /// before it follow.
    pub next: Vec<Candidate>,
    /// The same tokens without the ablation; none if nothing was ablated.
    pub next_before: Option<Vec<Candidate>>,
}

/// Circuits of a head on `T` tokens (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Circuit {
    /// The step of the inspected model.
    pub step: u64,
    /// Tokens of the text, `[T]`.
    pub tokens: Vec<Token>,
    /// Attention scores before mask and softmax, `[T, T]` as little-endian f32, with queries as rows and keys as
    /// columns.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub scores: Vec<u8>,
    /// Scores of the token embeddings alone, without positions: the QK circuit, `[T, T]`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub scores_alone: Vec<u8>,
    /// OV circuit: for each token, the tokens that the head promotes when it attends to it, strongest first.
    pub promoted: Vec<Vec<Promoted>>,
}

/// A neuron on `T` tokens (Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by Promoting Concepts
/// in the Vocabulary Space").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NeuronReport {
    /// Index in the block, from 0.
    pub neuron: usize,
    /// Activation at each token, `[T]`.
    pub activations: Vec<f32>,
    /// Tokens that a positive activation promotes, strongest first; a negative activation suppresses them.
    pub promoted: Vec<Promoted>,
}

/// KV cache of `T` tokens in `L` blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CacheReport {
    /// Tokens of the text, `[T]`.
    pub tokens: Vec<Token>,
    /// Root mean square of each token's keys over all heads, `[L, T]`.
    pub keys: Vec<f32>,
    /// Root mean square of each token's values over all heads, `[L, T]`.
    pub values: Vec<f32>,
    /// Capacity in tokens.
    pub context: usize,
    /// Bytes per token in all blocks.
    pub token_bytes: u64,
}

/// A token promoted by a head or a neuron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Promoted {
    /// Token.
    pub token: Token,
    /// Increase of its logit, before the division of the final norm.
    pub logit: f32,
}

/// Prediction of the logit lens at one position.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LensCell {
    /// Most likely tokens with their probabilities, most likely first.
    pub top: Vec<Likely>,
    /// Entropy of the distribution in bits.
    pub entropy: f32,
}

/// A token with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Likely {
    /// Token.
    pub token: Token,
    /// Probability.
    pub probability: f32,
}

/// A candidate for the next token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Candidate {
    /// Token.
    pub token: Token,
    /// Probability from the model.
    pub probability: f32,
    /// Probability that the sampler draws it; 0 if it was filtered out.
    pub drawn: f32,
}

/// A generated token with its alternatives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Drawn {
    /// Token.
    pub token: Token,
    /// Probability from the model.
    pub probability: f32,
    /// Number of tokens left after filtering.
    pub kept: usize,
    /// Most likely tokens, as many as requested.
    pub alternatives: Vec<Candidate>,
    /// Text that each alternative would add; none if it ends inside a character.
    pub continuations: Vec<Option<String>>,
    /// Proposals of the drafter for this and the following positions; empty if nothing was proposed.
    pub guessed: Vec<Token>,
}

/// Evaluation of a preference pair. The reward of a completion is `beta` times its log-probability minus that under the
/// reference model; the margin is the chosen reward minus the rejected one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PairReport {
    /// Number of training pairs.
    pub pairs: usize,
    /// Text before the completions.
    pub prompt: String,
    /// DPO temperature β.
    pub beta: f64,
    /// Chosen completion.
    pub chosen: AnswerReport,
    /// Rejected completion.
    pub rejected: AnswerReport,
}

/// Log-probability of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AnswerReport {
    /// Text of the completion, including the token that ends it.
    pub text: String,
    /// Tokens.
    pub tokens: usize,
    /// Sum of the tokens' log-probabilities in nats.
    pub log_probability: f32,
    /// Log-probability under the reference model in nats.
    pub reference: f32,
}
