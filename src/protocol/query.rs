//! Queries about the current model and their answers. None of them changes a run.

use serde::{Deserialize, Serialize};

use super::report::{
    CacheReport, Candidate, Circuit, Inspection, Merge, NeuronReport, PairReport, Part, Stage,
    Token, TokenizerReport,
};
use crate::config::SampleConfig;
use crate::inspect::{ActivationReport, TensorReport};
use crate::run::RunConfig;

/// A query of the page. Each is answered by the [`Answer`] of the same name, or refused with a message of one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Query {
    /// Tokenizes a text with the run's tokenizer.
    Tokens {
        /// Text.
        text: String,
    },
    /// Returns the run's vocabulary.
    Vocabulary,
    /// Compares tokenizers: trains one per specification and tokenizes the same text.
    Tokenizers {
        /// Training text.
        corpus: String,
        /// Text to tokenize.
        text: String,
        /// Specifications: `char`, `byte`, `bpe:N` or `wordpiece:N`.
        specs: Vec<String>,
    },
    /// Trains byte-pair encoding: returns its merges and a text tokenized with an increasing number of them.
    Merges {
        /// Training text.
        corpus: String,
        /// Text to tokenize.
        text: String,
        /// Vocabulary size.
        vocab_size: usize,
    },
    /// Traces one forward pass over a text.
    Inspect {
        /// Text, truncated to its last 256 tokens or the context, whichever is shorter, since attention weights grow
        /// quadratically.
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// Components to ablate.
        ablate: Vec<Part>,
        /// Number of most likely tokens that the logit lens reports at each position.
        top: usize,
    },
    /// Applies the sampling filters to the prediction after a text.
    Cut {
        /// Text, truncated to its end if it exceeds the context.
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// Sampling settings.
        config: SampleConfig,
        /// Number of tokens to report, most likely first.
        top: usize,
    },
    /// Returns histograms of every parameter and of its gradient on the next batch.
    Tensors {
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// Returns the settings as this device can train them.
    Fit {
        /// The settings.
        config: Box<RunConfig>,
    },
    /// Projects the token embeddings to their first two principal components.
    Embeddings {
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// Maximum number of tokens, in order of their ids; at least 1. Their components are the map's axes.
        limit: usize,
        /// Tokens that contain this text are added, as many again at most. None are added for an empty text.
        find: String,
    },
    /// Computes the QK and OV circuits of a head.
    Circuit {
        /// Text, truncated as in [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// Index of the block, from 0.
        layer: usize,
        /// Index of the query head, from 0.
        head: usize,
        /// Number of promoted tokens to report for each token of the text.
        top: usize,
    },
    /// Finds the neurons of a block with the largest contribution to the residual stream at one token.
    Neurons {
        /// Text, truncated as in [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
        /// Index of the block, from 0.
        layer: usize,
        /// Index of the token, from 0.
        place: usize,
        /// Number of neurons.
        count: usize,
        /// Number of promoted tokens per neuron.
        top: usize,
    },
    /// Returns histograms of the activations on a text.
    Activations {
        /// Text, truncated as in [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// Measures the KV cache of a text.
    Cached {
        /// Text, truncated as in [`Query::Inspect`].
        text: String,
        /// The model of this step, from its kept checkpoint, instead of the current model.
        step: Option<u64>,
    },
    /// Evaluates a preference pair that the current run is trained on.
    Pair {
        /// Index of the pair, from 0.
        number: usize,
    },
    /// Measures how fast a configuration would train on the current device, with a part of the model if it is large.
    Speed {
        /// Configuration to measure.
        config: Box<RunConfig>,
    },
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "a message; large on 64 bits only")]
pub enum Answer {
    /// A tokenized text.
    Tokens {
        /// Tokens.
        tokens: Vec<Token>,
    },
    /// A vocabulary.
    Vocabulary {
        /// Tokens in order of their ids.
        tokens: Vec<Token>,
        /// Ids of the special tokens.
        special: Vec<u32>,
    },
    /// Trained tokenizers.
    Tokenizers {
        /// Reports in the order of the specifications.
        reports: Vec<TokenizerReport>,
    },
    /// Training of byte-pair encoding.
    Merges {
        /// Merges in order.
        merges: Vec<Merge>,
        /// The text tokenized with an increasing number of merges, ending with all.
        stages: Vec<Stage>,
    },
    /// Trace of a forward pass.
    Inspect {
        /// Results.
        inspection: Inspection,
    },
    /// Effect of the sampling filters.
    Cut {
        /// Most likely tokens with their probabilities before and after filtering.
        candidates: Vec<Candidate>,
        /// Number of tokens left after filtering.
        kept: usize,
    },
    /// Histograms of parameters and gradients.
    Tensors {
        /// Reports in the model's order.
        tensors: Vec<TensorReport>,
    },
    /// Settings that the device supports.
    Fit {
        /// The settings.
        config: RunConfig,
    },
    /// Projected token embeddings.
    Embeddings {
        /// Tokens.
        tokens: Vec<Token>,
        /// Coordinates of each token.
        points: Vec<[f32; 2]>,
        /// Fraction of the variance along each axis.
        explained: [f32; 2],
    },
    /// Circuits of a head.
    Circuit {
        /// Results.
        circuit: Circuit,
    },
    /// Neurons of a block.
    Neurons {
        /// Neurons, largest contribution first.
        neurons: Vec<NeuronReport>,
    },
    /// Histograms of activations.
    Activations {
        /// Reports in the order of the forward pass.
        activations: Vec<ActivationReport>,
    },
    /// Measurements of the KV cache.
    Cached {
        /// Results.
        cache: CacheReport,
    },
    /// Evaluation of a preference pair.
    Pair {
        /// Results.
        pair: PairReport,
    },
    /// Measured training speed.
    Speed {
        /// Tokens per second; none if even a part of the model is too large, or if the worker was busy.
        tokens_per_second: Option<f64>,
    },
}
