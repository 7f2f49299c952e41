//! The trait that every objective implements, with its inputs and outputs.

use std::fmt::Debug;

use burn::tensor::Tensor;

use super::{LOSS, Metric, Sum};
use crate::data::Batch;
use crate::error::Result;
use crate::model::Decoder;

/// A training objective: the loss that training minimizes, and metrics to report.
///
/// An objective is a sum over *terms* (targets, preference pairs, sequences, …). A training step weights every term
/// of its micro-batches equally, so that gradient accumulation gives the mean over all of them, whatever their
/// distribution over the micro-batches.
pub trait Objective: Debug + Send + Sync {
    /// Returns the metrics that [`Self::loss`] and [`Self::evaluate`] report beside the loss, in display order.
    fn metrics(&self) -> &[Metric] {
        &[]
    }

    /// Returns the number of terms in a batch. By default, the targets that count.
    fn terms(&self, batch: &Batch) -> usize {
        batch.counted()
    }

    /// Returns whether the model's dropout is active in training.
    fn uses_dropout(&self) -> bool {
        true
    }

    /// Returns whether ranks may divide the vocabulary (tensor parallelism), where [`Decoder::sequence_log_probs`] has no gradient. By
    /// default, they are refused.
    fn suits_divided_vocabulary(&self) -> bool {
        false
    }

    /// Sums loss and metrics over the terms of a batch, each multiplied by `scale`.
    ///
    /// # Errors
    /// A target outside the vocabulary; a batch without what the objective needs.
    fn loss(&self, pass: Forward<'_>, scale: f64) -> Result<Outcome>;

    /// Sums the results of an evaluation over a batch: the loss under the name [`LOSS`] and any metrics. `bytes_of` returns
    /// the length of a token's text in bytes.
    ///
    /// By default, loss and metrics of [`Self::loss`], as means over the terms.
    ///
    /// # Errors
    /// As [`Self::loss`].
    fn evaluate(&self, pass: Forward<'_>, _bytes_of: &dyn Fn(u32) -> usize) -> Result<Vec<Sum>> {
        let weight = self.terms(pass.batch) as f64;
        let Outcome { loss, metrics } = self.loss(pass, 1.0)?;
        let all = std::iter::once((LOSS, loss)).chain(metrics);
        Ok(all.map(|(name, values)| Sum { name, values, weight }).collect())
    }
}

/// A batch and the result of its forward pass.
#[derive(Clone, Debug)]
pub struct Forward<'a> {
    /// The model, for its head: [`Decoder::cross_entropy`], [`Decoder::sequence_log_probs`] or [`Decoder::unembed`].
    pub model: &'a Decoder,
    /// The residual stream after the last block, `[B T, C]`.
    pub residual: Tensor<2>,
    /// The batch.
    pub batch: &'a Batch,
}

/// An objective's loss and metrics of one batch.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The weighted sum of the loss over the terms, `[1]`, to differentiate.
    pub loss: Tensor<1>,
    /// The same sum of each metric, `[1]`, by name.
    pub metrics: Vec<(&'static str, Tensor<1>)>,
}

impl From<Tensor<1>> for Outcome {
    /// A loss `[1]` without metrics.
    fn from(loss: Tensor<1>) -> Self {
        Self { loss, metrics: Vec::new() }
    }
}
