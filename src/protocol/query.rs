//! Questions about the model at hand, and their answers: nothing here changes a run.

use serde::{Deserialize, Serialize};

use super::RunConfig;
use crate::config::SampleConfig;
pub use crate::inspect::{Spread, TensorReport};

/// What the page asks. Each is answered by the [`Answer`] of the same name, or refused in one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Query {
    /// How the run's tokenizer cuts a text.
    Tokens {
        /// The text.
        text: String,
    },
    /// Every token of the run's vocabulary.
    Vocabulary,
    /// The same text through tokenizers trained for the purpose, one for each specification.
    Tokenizers {
        /// What they are trained on.
        corpus: String,
        /// What they then cut.
        text: String,
        /// `char`, `byte`, `bpe:N`, `wordpiece:N`.
        specs: Vec<String>,
    },
    /// How byte-pair encoding learns: its merges in order, and a text cut with more and more of them.
    Merges {
        /// What it is trained on.
        corpus: String,
        /// What is cut.
        text: String,
        /// Size of the finished vocabulary.
        vocab_size: usize,
    },
    /// One forward pass over a text, looked at from inside.
    Inspect {
        /// The text. Of a longer one the end is kept: as much as the context holds, but 256 tokens at most,
        /// since attention weights grow with the square.
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the model at hand.
        step: Option<u64>,
        /// Heads and MLPs whose output is replaced by nothing.
        ablate: Vec<Part>,
        /// How many likeliest tokens the logit lens names at each place.
        top: usize,
    },
    /// What a sampler would do with the prediction after a text.
    Cut {
        /// The text. Of one longer than the context the end is kept.
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the model at hand.
        step: Option<u64>,
        /// The sampler's settings.
        config: SampleConfig,
        /// How many tokens to tell of, likeliest first.
        top: usize,
    },
    /// Weights of every tensor, and their gradients on the run's next batch, as histograms.
    Tensors {
        /// The model of this step, from its kept checkpoint, instead of the model at hand.
        step: Option<u64>,
    },
    /// The token embeddings on their first two principal components.
    Embeddings {
        /// The model of this step, from its kept checkpoint, instead of the model at hand.
        step: Option<u64>,
        /// How many tokens at most, in the order of their ids; at least one.
        limit: usize,
    },
    /// The two circuits of a head: which token it looks at, and what it makes the model say for it.
    Circuit {
        /// The text; as much of its end is kept as of [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the model at hand.
        step: Option<u64>,
        /// The block, from 0.
        layer: usize,
        /// The query head, from 0.
        head: usize,
        /// How many promoted tokens to name for each token of the text.
        top: usize,
    },
    /// What the model makes of a preference pair that the run at hand is tuned on.
    Pair {
        /// Its number, from 0.
        number: usize,
    },
    /// How fast a configuration would train on the device in use. It is tried for a moment, on a part of the model
    /// where the whole is large.
    Speed {
        /// Everything that would define the run.
        config: RunConfig,
    },
}

/// The answers to [`Query`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a message; large on 64 bits only")]
pub enum Answer {
    /// How a text is cut.
    Tokens {
        /// Its tokens.
        tokens: Vec<Token>,
    },
    /// Every token.
    Vocabulary {
        /// In the order of their ids.
        tokens: Vec<Token>,
        /// The ids of those that ordinary text never makes.
        special: Vec<u32>,
    },
    /// One report per tokenizer.
    Tokenizers {
        /// In the order they were asked for.
        reports: Vec<TokenizerReport>,
    },
    /// How byte-pair encoding learns.
    Merges {
        /// In the order they were learned.
        merges: Vec<Merge>,
        /// The text cut at growing sizes of the vocabulary, the full size last.
        stages: Vec<Stage>,
    },
    /// A forward pass from inside.
    Inspect {
        /// What was seen.
        inspection: Inspection,
    },
    /// What a sampler would do.
    Cut {
        /// The likeliest tokens, before and after the cut.
        candidates: Vec<Candidate>,
        /// How many tokens could be drawn.
        kept: usize,
    },
    /// Histograms.
    Tensors {
        /// In the model's order.
        tensors: Vec<TensorReport>,
    },
    /// Token embeddings in the plane.
    Embeddings {
        /// The tokens.
        tokens: Vec<Token>,
        /// A place for each.
        points: Vec<[f32; 2]>,
        /// The share of the variance that each of the two axes holds.
        explained: [f32; 2],
    },
    /// The circuits of a head.
    Circuit {
        /// What they do.
        circuit: Circuit,
    },
    /// A preference pair.
    Pair {
        /// What the model makes of it.
        pair: PairReport,
    },
    /// A speed.
    Speed {
        /// Tokens per second; none where even a part of the model is too large to be tried, or where something
        /// else was under way.
        tokens_per_second: Option<f64>,
    },
}

/// A token as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its text; bytes that are no text alone stand as `\xNN`.
    pub text: String,
}

/// One head of one block, or its MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Part {
    /// The block, from 0.
    pub layer: usize,
    /// The query head, from 0; none for the MLP.
    pub head: Option<usize>,
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

/// One forward pass, looked at from inside. `T` tokens, `L` blocks, `H` query heads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Inspection {
    /// The step of the model that was looked at.
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
    /// The step of the model that was looked at.
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

/// A token that a head makes likelier.
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
