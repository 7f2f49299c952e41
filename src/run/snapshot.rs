//! The contents of a run's checkpoint.

use std::pin::Pin;

use serde_json::Map;

use super::directory::RunDir;
use super::{Body, Run, RunConfig};
use crate::HAS_LONG_RUNS;
use crate::checkpoint::{AVERAGE, Companions, Files, TrainingState, pack, pack_average};
use crate::error::{Error, Result};
use crate::model::Decoder;
use crate::optim::{Optimizer, WholeModel};
use crate::tokenizer::Tokenizer;

impl Run {
    /// Returns the contents of a checkpoint at the current step. Later steps do not change them.
    pub fn snapshot(&self) -> Snapshot {
        let training = match &self.body {
            Body::Trainable(trainer) => {
                Some((trainer.optimizer().clone(), trainer.whole().clone()))
            }
            Body::WithoutData { .. } => None,
        };
        Snapshot {
            model: self.in_training(),
            tokenizer: self.tokenizer.clone(),
            companions: self.companions.clone(),
            training,
            average: self.average_model(),
            state: self.state(),
            good_checkpoint: self.good_checkpoint(self.step() + 1),
            is_first: self.mesh.all.rank() == 0,
        }
    }

    fn state(&self) -> TrainingState {
        let step = self.step();
        let RunConfig { tokenizer, train, data, sample_every, .. } = self.config.clone();
        TrainingState {
            step,
            batches_drawn: (step + self.long_run.passed_over) * train.grad_accum as u64,
            tokens_seen: self.tokens_seen(),
            train,
            data,
            corpus: self.corpus.clone(),
            reference: self.reference.clone(),
            base: self.base.clone(),
            tokenizer,
            sample_every,
            best_val_loss: self.best_val_loss,
            ranks: self.mesh.all.size(),
            long_run: if HAS_LONG_RUNS { self.long_run.to_map() } else { Map::new() },
            ..Default::default()
        }
    }
}

/// A run at one step, ready to be saved.
pub struct Snapshot {
    model: Decoder,
    tokenizer: Tokenizer,
    companions: Companions,
    training: Option<(Optimizer, WholeModel)>,
    /// The model with the moving average of its weights, if there is one.
    average: Option<Decoder>,
    state: TrainingState,
    good_checkpoint: String,
    /// True on rank 0, which saves.
    is_first: bool,
}

impl Snapshot {
    /// Returns the number of steps done.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// Returns the files of the checkpoint; without training data, those of the model alone.
    ///
    /// # Errors
    /// The device was lost; a rank does not answer.
    ///
    /// # Panics
    /// On a rank other than 0 of a divided model, which only [contributes](Self::contribute) to the files.
    pub async fn files(&self) -> Result<Files> {
        let whole = self.whole_model()?.expect("rank 0 saves, and has the whole model");
        let training = self.optimizer().map(|optimizer| (&self.state, optimizer));
        let mut files = pack(&whole, Some(&self.tokenizer), training).await?;
        if HAS_LONG_RUNS && let Some(average) = &self.average {
            // Boxed, so that the wasm, which never creates it, omits the code.
            let packed: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(pack_average(average));
            files.insert(AVERAGE.into(), packed.await?);
        }
        self.companions.add_to(&mut files, &whole.config().eos_token_id);
        Ok(files)
    }

    /// Returns the whole model on rank 0. All ranks must call it.
    fn whole_model(&self) -> Result<Option<Decoder>> {
        match &self.training {
            Some((optimizer, whole)) => whole.get(&self.model, optimizer),
            None => Ok(Some(self.model.clone())),
        }
    }

    /// Returns the optimizer; none without training data.
    fn optimizer(&self) -> Option<&Optimizer> {
        self.training.as_ref().map(|(optimizer, _)| optimizer)
    }

    /// Sends this rank's part of the checkpoint to the others. Rank 0 calls [`Self::save`] instead, all others this function.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn contribute(&self) -> Result<()> {
        self.whole_model()?;
        let mut groups = self.optimizer().into_iter().flat_map(Optimizer::whole_state);
        groups.try_for_each(|group| group.map(drop))
    }

    /// Saves the checkpoint; on ranks other than 0, only [contributes](Self::contribute) to it. `val_loss` is the validation
    /// loss at this step, if it was evaluated.
    ///
    /// # Errors
    /// There is no training data; a weight is not finite; writing fails; a rank does not answer.
    pub async fn save(&self, directory: &RunDir, val_loss: Option<f64>) -> Result<()> {
        match self.to_host().await? {
            Some(host) => host.save(directory, val_loss).await,
            None => Ok(()),
        }
    }

    /// Reads everything from the device; on ranks other than 0, only [contributes](Self::contribute), and returns none.
    ///
    /// # Errors
    /// There is no training data; the device was lost; a rank does not answer.
    pub async fn to_host(&self) -> Result<Option<HostSnapshot>> {
        if !self.is_first {
            return self.contribute().map(|()| None);
        }
        if self.training.is_none() {
            let what = "the run's text (a checkpoint needs its cursor)".into();
            return Err(Error::EmptyData { what });
        }
        let (files, state) = (self.files().await?, self.state.clone());
        Ok(Some(HostSnapshot { files, state, good_checkpoint: self.good_checkpoint.clone() }))
    }
}

/// A checkpoint in the program's memory, which can be written while training continues.
pub struct HostSnapshot {
    files: Files,
    state: TrainingState,
    good_checkpoint: String,
}

impl HostSnapshot {
    /// Returns the number of steps done.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// Returns the sizes of its files in bytes.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.files.values().map(|file| file.len() as u64)
    }

    /// Writes the checkpoint. `val_loss` is the validation loss at this step, if it was evaluated.
    ///
    /// # Errors
    /// As [`RunDir::save`].
    pub async fn save(&self, directory: &RunDir, val_loss: Option<f64>) -> Result<()> {
        directory.save(&self.files, &self.state, val_loss, &self.good_checkpoint).await
    }
}
