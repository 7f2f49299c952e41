//! Loss and metrics of a whole corpus.

use std::sync::Arc;

use burn::tensor::Tensor;
use serde::Serialize;

use crate::data::{Batch, Corpus, eval_batches};
use crate::error::{Error, Result};
use crate::model::{Decoder, TokenIds, read_floats};
use crate::objective::{Forward, LOSS, Metrics, Objective, Reducer};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean loss over the objective's terms: nats per token for next-token prediction.
    pub loss: f64,
    /// Targets predicted.
    pub tokens: u64,
    /// The objective's metrics; in JSON they stand beside the loss.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// How a corpus is cut for an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Tokens per window.
    pub seq_len: usize,
    /// Windows per batch.
    pub batch_size: usize,
}

/// Batches that are read back together, so that the device need not wait for the host after each.
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
    /// Prepares to evaluate every target of `corpus` (see [`eval_batches`]).
    ///
    /// `model` must not be on an autodiff device. `bytes_of` returns the number of bytes of text that a token stands
    /// for.
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

    /// Evaluates a few batches. Returns false when none is left.
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
        Ok(Evaluation { loss, tokens: self.tokens, metrics })
    }
}
