//! Evaluation: loss and metrics of a whole corpus.
//!
//! ```
//! use std::sync::Arc;
//!
//! use blankslate::config::ModelConfig;
//! use blankslate::data::{Corpus, Tokens};
//! use blankslate::eval::{EvalOptions, Evaluator};
//! use blankslate::model::{Decoder, random_source};
//! use blankslate::objective::NextToken;
//! use blankslate::platform::{block_on, open_device};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let (device, _) = open_device("cpu").await?;
//!     let config = ModelConfig::gpt2(10).with_context(8).with_hidden_size(16);
//!     let model = Decoder::new(&config, &device, &mut random_source(0))?;
//!     let corpus = Corpus::new(Tokens::from_ids((0..100).map(|i| i % 10).collect()));
//!
//!     let options = EvalOptions::for_model(&config, 8);
//!     let objective = Arc::new(NextToken::default());
//!     let mut evaluator = Evaluator::new(model, objective, &corpus, options, &|_| 1)?;
//!     while evaluator.advance().await? {}
//!     let evaluation = evaluator.finish()?;
//!     assert_eq!(evaluation.tokens, 99); // every token but the first
//!     assert!((evaluation.loss - 10f64.ln()).abs() < 0.1); // the model is untrained
//!     Ok(())
//! })
//! # }
//! ```

use std::sync::Arc;

use burn::tensor::Tensor;
use serde::Serialize;

use crate::config::ModelConfig;
use crate::data::{Batch, Corpus, eval_batches};
use crate::error::{Error, Result};
use crate::model::{Decoder, TokenIds, read_floats};
use crate::objective::{Forward, LOSS, Metrics, Objective, Reducer};

/// Result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean loss over the objective's terms: nats per token for next-token prediction.
    pub loss: f64,
    /// Targets predicted.
    pub tokens: u64,
    /// The objective's metrics; in JSON they are beside the loss.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Loss of each source of a mixture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceLoss>,
}

/// Loss of one source of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceLoss {
    /// Name of the source.
    pub name: String,
    /// Mean loss over the objective's terms in it.
    pub loss: f64,
    /// Targets predicted in it.
    pub tokens: u64,
}

/// Options for splitting a corpus into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Tokens per window.
    pub seq_len: usize,
    /// Windows per batch.
    pub batch_size: usize,
}

/// Maximum tokens of a batch: enough to keep a device busy, few enough for a pause to take effect soon.
const BATCH_TOKENS: usize = 2048;
/// Maximum logits of a batch: 256 MiB in f32.
const BATCH_LOGITS: usize = 1 << 26;

impl EvalOptions {
    /// Chooses the batch size for a model. It depends on nothing else, so that evaluations agree to the bit wherever they
    /// are made on one device.
    pub fn for_model(config: &ModelConfig, seq_len: usize) -> Self {
        let by_tokens = BATCH_TOKENS / seq_len.max(1);
        let by_logits = BATCH_LOGITS / seq_len.saturating_mul(config.vocab_size).max(1);
        Self { seq_len, batch_size: by_tokens.min(by_logits).max(1) }
    }
}

/// Batches whose results are read together, so that the device does not wait for the host after each.
const READ_EVERY: usize = 16;

/// An evaluation in progress; call [`Evaluator::advance`] until it returns false, then [`Evaluator::finish`].
pub struct Evaluator<'a> {
    model: Decoder,
    objective: Arc<dyn Objective>,
    batches: Box<dyn Iterator<Item = Batch> + 'a>,
    bytes_of: &'a dyn Fn(u32) -> usize,
    sums: Reducer,
    tokens: u64,
}

impl<'a> Evaluator<'a> {
    /// Prepares the evaluation of every target of `corpus` (see [`eval_batches`]).
    ///
    /// `model` must not be on an autodiff device. `bytes_of` returns the length of a token's text in bytes.
    ///
    /// # Errors
    /// [`Error::EmptyData`] for a corpus without a target.
    pub fn new(
        model: Decoder,
        objective: Arc<dyn Objective>,
        corpus: &'a Corpus,
        options: EvalOptions,
        bytes_of: &'a dyn Fn(u32) -> usize,
    ) -> Result<Self> {
        corpus.require_window("the text to evaluate", 1)?;
        let batches = eval_batches(corpus, options.seq_len, options.batch_size);
        Ok(Self { model, objective, batches, bytes_of, sums: Reducer::default(), tokens: 0 })
    }

    /// Evaluates up to 16 batches. Returns false when none is left.
    ///
    /// # Errors
    /// A token outside the model's vocabulary; a lost device; any error of the objective.
    pub async fn advance(&mut self) -> Result<bool> {
        let device = self.model.device();
        let vocab = self.model.config().vocab_size;
        let mut found = Vec::new();
        for batch in self.batches.by_ref().take(READ_EVERY) {
            let ids = TokenIds::from_batch(&batch, vocab, &device)?;
            let residual = self.model.forward_residual(ids, None, None)?;
            let pass = Forward { model: &self.model, residual, batch: &batch };
            found.extend(self.objective.evaluate(pass, self.bytes_of)?);
            self.tokens += batch.counted() as u64;
        }
        if found.is_empty() {
            return Ok(false);
        }
        let values = found.iter().map(|sum| sum.values.clone()).collect();
        let values = read_floats(Tensor::cat(values, 0)).await?;
        let mut values = values.into_iter().map(f64::from);
        for sum in found {
            let count = sum.values.dims()[0];
            self.sums.add(sum.name, values.by_ref().take(count).sum(), sum.weight);
        }
        Ok(true)
    }

    /// Targets predicted so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Returns the result over all targets.
    ///
    /// # Errors
    /// [`Error::Config`] if the objective reported no loss, or a metric that it does not describe.
    pub fn finish(self) -> Result<Evaluation> {
        let mut metrics = self.sums.reduce(self.objective.metrics())?;
        let loss = metrics.take(LOSS).ok_or_else(|| {
            Error::config("objective", "its evaluation has no loss", "return a sum named `loss`")
        })?;
        Ok(Evaluation { loss, tokens: self.tokens, metrics, sources: Vec::new() })
    }

    /// Returns the result over all targets of several corpora, and the loss of each, from the names and the complete evaluations of
    /// the sources of a mixture.
    ///
    /// # Errors
    /// As [`Self::finish`]; [`Error::EmptyData`] without a source.
    pub fn finish_sources(parts: Vec<(String, Self)>) -> Result<Evaluation> {
        let mut sources = Vec::new();
        let mut all: Option<Self> = None;
        for (name, part) in parts {
            let (sums, tokens) = (part.sums.clone(), part.tokens);
            let loss = sums.clone().reduce(part.objective.metrics())?.take(LOSS);
            sources.push(SourceLoss { name, loss: loss.unwrap_or(f64::NAN), tokens });
            match &mut all {
                None => all = Some(part),
                Some(all) => {
                    all.sums.add_all(sums);
                    all.tokens += tokens;
                }
            }
        }
        let all = all.ok_or_else(|| Error::EmptyData { what: "the text to evaluate".into() })?;
        Ok(Evaluation { sources, ..all.finish()? })
    }
}
