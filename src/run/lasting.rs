//! Long runs: settings, moving average of the weights, and rollback to a checkpoint.

use super::{Body, LongRun, Run};
use crate::HAS_LONG_RUNS;
use crate::checkpoint::Checkpoint;
use crate::config::LongRunConfig;
use crate::error::{Error, Result};
use crate::model::Decoder;
use crate::train::Average;

impl Run {
    /// Returns the state of long runs: settings, recent losses and rollbacks.
    pub fn long_run(&self) -> &LongRun {
        &self.long_run
    }

    pub(super) fn long_run_mut(&mut self) -> &mut LongRun {
        &mut self.long_run
    }

    /// Changes the settings of long runs. Called after [`Self::join`](Run::join).
    ///
    /// # Errors
    /// As [`LongRunConfig::suits`].
    pub fn set_long_run(&mut self, config: LongRunConfig) -> Result<()> {
        let layout = self.mesh().layout();
        config.suits(&self.config.train, layout.ranks(), layout.pp, layout.tp)?;
        self.long_run.config = config;
        self.average_weights();
        Ok(())
    }

    /// Sets the trainer's moving average according to the settings: the one that was loaded, or a new one.
    pub(super) fn average_weights(&mut self) {
        let config = &self.long_run.config;
        let Body::Trainable(trainer) = &mut self.body else { return };
        let average = config.averages().then(|| {
            let known = self.average.take().or_else(|| trainer.average().cloned());
            let average =
                known.unwrap_or_else(|| Average::new(&trainer.in_training(), config.ema_decay));
            average.with_decay(config.ema_decay)
        });
        trainer.set_average(average);
    }

    /// Returns the model with the average of its weights, not on an autodiff device; none without one.
    pub(super) fn average_model(&self) -> Option<Decoder> {
        match &self.body {
            Body::Trainable(trainer) if HAS_LONG_RUNS => {
                Some(trainer.average()?.model(trainer.in_training()))
            }
            _ => None,
        }
    }

    /// Returns the model that is evaluated and sampled from, as [`Self::whole_model`]: with `eval_ema`, the moving average of the
    /// weights.
    ///
    /// # Errors
    /// As [`Self::whole_model`].
    pub fn model_to_evaluate(&self) -> Result<Option<Decoder>> {
        if HAS_LONG_RUNS
            && self.long_run.config.eval_ema
            && let Some(average) = self.average_model()
        {
            return Ok((self.mesh().all.rank() == 0).then_some(average));
        }
        self.whole_model()
    }

    /// Rolls back to the checkpoint `loaded` instead of making step `spike`. The batches of that step and of the steps since the
    /// checkpoint are skipped.
    ///
    /// # Errors
    /// It has no training state; there were too many rollbacks to it; the weights do not fit.
    pub(super) fn roll_back(&mut self, mut loaded: Checkpoint, spike: u64) -> Result<u64> {
        let (state, optimizer_state) = loaded.training.take().ok_or_else(|| {
            let what = "the checkpoint to return to (it has no training state)".into();
            Error::EmptyData { what }
        })?;
        let to = state.step;
        let mut long_run = LongRun::from_map(&state.long_run)?;
        long_run.roll_back(&self.long_run, spike, to)?;
        // The settings may have changed since the checkpoint.
        long_run.config = self.long_run.config.clone();
        let device = self.trainer()?.model().device().autodiff();
        loaded.config.dropout = self.config.model.dropout;
        let average = loaded.average_model(&device.clone().inner())?;
        let model = loaded.model_in_training(&self.config.train, &device)?;
        let trainer = self.trainer()?;
        *trainer = trainer
            .returned_to(model, to, optimizer_state)?
            .having_seen(state.tokens_seen)
            .passing_over(long_run.passed_over);
        self.average = average.map(|average| Average::new(&average, long_run.config.ema_decay));
        self.best_val_loss = state.best_val_loss;
        self.long_run = long_run;
        self.average_weights();
        Ok(to)
    }
}
