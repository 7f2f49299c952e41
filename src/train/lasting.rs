//! Functions of a trainer for long runs.

use super::{Average, Trainer};
use crate::HAS_LONG_RUNS;
use crate::error::Result;
use crate::model::Decoder;

impl Trainer {
    /// Skips the batches of `steps` steps: step 1 gets the batches that step `steps + 1` would have.
    pub fn passing_over(mut self, steps: u64) -> Self {
        self.passed_over = steps;
        self
    }

    /// Keeps a moving average of the weights from now on; `average` is none to end it.
    pub fn set_average(&mut self, average: Option<Average>) {
        self.average = average;
    }

    /// Returns the moving average of the weights.
    pub fn average(&self) -> Option<&Average> {
        self.average.as_ref().filter(|_| HAS_LONG_RUNS)
    }

    /// Returns a trainer that continues with `model`, which is on an autodiff device, after `step` steps with the optimizer state
    /// saved then, and with the data, the objective and the ranks of this one.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn returned_to(
        &self,
        model: Decoder,
        step: u64,
        optimizer_state: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Self> {
        let (source, objective) = (self.source.clone(), self.objective.clone());
        Self::with_objective(model, &self.config, source, objective)?.resume(step, optimizer_state)
    }
}
