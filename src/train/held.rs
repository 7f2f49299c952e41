//! A step whose loss is known before it changes the weights.

use super::report::{GRAD_NORM, StepReport};
use super::{Differentiated, Trainer};
use crate::error::Result;
use crate::objective::{DeviceValues, LOSS};

/// Loss and gradients of the next step, before it is made.
pub struct HeldStep {
    found: Differentiated,
    values: DeviceValues,
    /// True if gradients are scaled, so that an overflow is not an error.
    is_scaled: bool,
}

impl Trainer {
    /// Computes loss and gradients of the next step, for [`Self::make_held`] or [`Self::skip_held`].
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn hold_step(&self) -> Result<HeldStep> {
        let found = self.differentiated(&self.next_batches())?;
        let norm = self.optimizer.gradient_norm(&found.gradients, self.step + 1)?;
        let scale = self.optimizer.loss_scale(&self.device().inner());
        let is_scaled = scale.is_some();
        let norm = match scale {
            Some(scale) => norm / scale,
            None => norm,
        };
        let mut values = found.values.clone();
        values.push(GRAD_NORM, norm);
        Ok(HeldStep { found, values, is_scaled })
    }

    /// Makes a held step.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn make_held(&mut self, held: HeldStep) -> Result<StepReport> {
        self.update(held.found)
    }

    /// Counts a held step without changing the weights, the optimizer or the number of tokens trained on.
    pub fn skip_held(&mut self, _held: HeldStep) {
        self.step += 1;
    }
}

impl HeldStep {
    /// Waits for the device, and returns the loss and the norm of the gradients before clipping. The norm is none if the gradients
    /// overflowed f16.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn read(&self) -> Result<(f32, Option<f32>)> {
        let mut metrics = self.values.clone().read().await?;
        let loss = metrics.take(LOSS).expect("every step has a loss") as f32;
        let norm = metrics.take(GRAD_NORM).map(|norm| norm as f32);
        Ok((loss, norm.filter(|norm| norm.is_finite() || !self.is_scaled)))
    }
}
