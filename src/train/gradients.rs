//! The next step, computed without making it.

use super::Trainer;
use crate::error::Result;
use crate::model::{Decoder, NamedGradients};
use crate::parallel::Reduction;

impl Trainer {
    /// Makes a step on a copy of the trainer and discards the result: launches every kernel that a step launches, and
    /// changes nothing.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn rehearse(&self) -> Result<()> {
        self.clone().step().map(drop)
    }

    /// Returns the gradients, before clipping, of the next [`Self::step`], without making it. All ranks must call it.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn next_gradients(&self) -> Result<NamedGradients> {
        Ok(self.loss_and_gradients(&self.next_batches(), Reduction::whole)?.gradients)
    }

    /// Returns [`Self::next_gradients`] of another model, as if training had reached it after `step` steps. The model
    /// must be on an autodiff device.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn next_gradients_of(&self, model: Decoder, step: u64) -> Result<NamedGradients> {
        Self { model: Some(model), step, ..self.clone() }.next_gradients()
    }
}
