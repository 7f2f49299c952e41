//! The result of a step.

use crate::error::{Error, Result};
use crate::objective::{DeviceValues, LOSS, Metrics};

/// Smallest loss scale of f16. An overflow below it means that the gradients themselves are not finite.
const LOWEST_LOSS_SCALE: f32 = 1e-4;

/// Name of the gradient norm.
pub(super) const GRAD_NORM: &str = "grad_norm";
/// Name of the loss scale of f16.
pub(super) const LOSS_SCALE: &str = "loss_scale";

/// The result of one step, still on the device; see [`StepReport::read`].
#[derive(Debug)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens in the step's batches, those of all ranks.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    /// Maximum number of micro-batches whose activations this rank kept.
    pub most_kept: usize,
    pub(super) values: DeviceValues,
}

/// The result of one step, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFigures {
    /// Steps done, this one included.
    pub step: u64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens in the step's batches.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    /// Mean loss over the objective's terms: nats per token for next-token prediction.
    pub loss: f32,
    /// The objective's metrics, means over its terms.
    pub metrics: Metrics,
    /// Global gradient norm before clipping; none if gradients overflowed f16 and the step was skipped.
    pub grad_norm: Option<f32>,
}

impl StepReport {
    /// Waits for the device and reads the figures.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss is not finite, or if the gradient norm is not finite for another reason than
    /// f16 overflow. `saved` describes the checkpoint that can still be used. The device was lost.
    pub async fn read(self, saved: &str) -> Result<StepFigures> {
        let Self { step, lr, tokens, tokens_seen, values, .. } = self;
        let mut metrics = values.read().await?;
        let mut take = |name| metrics.take(name).map(|value| value as f32);
        let loss = take(LOSS).expect("every step has a loss");
        let grad_norm = take(GRAD_NORM).filter(|norm| norm.is_finite());
        let skipped = take(LOSS_SCALE).is_some_and(|scale| scale >= LOWEST_LOSS_SCALE);
        if !loss.is_finite() || (grad_norm.is_none() && !skipped) {
            let loss = if loss.is_finite() { f32::NAN } else { loss };
            return Err(Error::Diverged { step, loss, saved: saved.into() });
        }
        Ok(StepFigures { step, lr, tokens, tokens_seen, loss, metrics, grad_norm })
    }
}
