//! Queries about the current model and their answers. None of them changes a run.

use serde::{Deserialize, Serialize};

use super::RunConfig;
use super::report::{
    CacheReport, Candidate, Circuit, Inspection, Merge, NeuronReport, PairReport, Part, Stage,
    Token, TokenizerReport,
};
use crate::config::SampleConfig;
use crate::inspect::{ActivationReport, TensorReport};

/// A query of the page. Each is answered by the [`Answer`] of the same name, or refused with a message of one line.
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
    /// One forward pass over a text, with its inner values.
    Inspect {
        /// The text. Of a longer one the end is kept: as much as the context holds, but 256 tokens at most,
        /// since attention weights grow with the square.
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
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
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// The sampler's settings.
        config: SampleConfig,
        /// How many tokens to tell of, likeliest first.
        top: usize,
    },
    /// Weights of every tensor, and their gradients on the run's next batch, as histograms.
    Tensors {
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// The token embeddings on their first two principal components.
    Embeddings {
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// How many tokens at most, in the order of their ids; at least one.
        limit: usize,
    },
    /// The two circuits of a head: which token it looks at, and what it makes the model say for it.
    Circuit {
        /// The text; as much of its end is kept as of [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// The block, from 0.
        layer: usize,
        /// The query head, from 0.
        head: usize,
        /// How many promoted tokens to name for each token of the text.
        top: usize,
    },
    /// The neurons of a block that add most to the residual stream at one token.
    Neurons {
        /// The text; as much of its end is kept as of [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// The block, from 0.
        layer: usize,
        /// The token, from 0.
        place: usize,
        /// How many neurons to tell of.
        count: usize,
        /// How many promoted tokens to name for each.
        top: usize,
    },
    /// How the numbers are spread that flow through the model while it reads a text.
    Activations {
        /// The text; as much of its end is kept as of [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// What the KV cache holds of a text.
    Cached {
        /// The text; as much of its end is kept as of [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// Log-probabilities of a preference pair that the current run is trained on.
    Pair {
        /// Its number, from 0.
        number: usize,
    },
    /// How fast a configuration would train on the device in use. It is tried for a moment, on a part of the model
    /// where the whole is large.
    Speed {
        /// Everything that would define the run.
        config: Box<RunConfig>,
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
    /// Neurons.
    Neurons {
        /// The strongest first.
        neurons: Vec<NeuronReport>,
    },
    /// Histograms of what flows through the model.
    Activations {
        /// In the order of the pass.
        activations: Vec<ActivationReport>,
    },
    /// What the KV cache holds.
    Cached {
        /// What was seen.
        cache: CacheReport,
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
