//! The directory of a run: its checkpoints, which of them is best, and which are deleted.
//!
//! ```text
//! RUN/checkpoints/step-00000200/   a complete checkpoint. Kept are the last `keep_last`, the best and, of
//!                                  the others, `keep_spread` that are spread evenly.
//! RUN/best.json                    {"step", "val_loss"} of the best checkpoint
//! RUN/model.safetensors, …         the files of the newest checkpoint, for transformers
//! ```
//!
//! A checkpoint is complete once its `training_state.json` exists, which is written last. So a checkpoint that a crash or a
//! full disk interrupted is never mistaken for a complete one. A directory holds a run if it holds a complete checkpoint
//! ([`RunDir::holds_run`]); anything else is left over from a first save that failed, and a new run may start there.
//!
//! ```
//! use blankslate::platform::{Store, block_on};
//! use blankslate::run::directory::RunDir;
//!
//! # fn main() -> blankslate::error::Result<()> {
//! let directory = RunDir::new(block_on(Store::open("target/no-run"))?);
//! assert!(block_on(directory.steps())?.is_empty()); // nothing was saved yet
//! assert_eq!(RunDir::path_of(200), "checkpoints/step-00000200");
//! # Ok(())
//! # }
//! ```

mod keep;
mod leftovers;
mod load;
mod names;
mod read;

pub use names::{BEST, CHECKPOINTS, FILES, METRICS, RUN_CARD, step_of, valid_name};
pub use read::{files_in, read_checkpoint};

use serde::{Deserialize, Serialize};

use crate::HAS_LONG_RUNS;
use crate::checkpoint::{AVERAGE, Files, STATE, TrainingState, WEIGHTS, read_safetensors};
use crate::config::CheckpointConfig;
use crate::error::{Error, Result};
use crate::platform::Store;
use keep::removable;
use names::name_of;

/// The best checkpoint so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its validation loss in nats per token.
    pub val_loss: f64,
}

/// The directory of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    store: Store,
}

impl RunDir {
    /// Returns the run at the root of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the path of the checkpoint of `step` below the run.
    pub fn path_of(step: u64) -> String {
        format!("{CHECKPOINTS}/{}", name_of(step))
    }

    /// Writes a checkpoint, then removes those that are no longer kept. `val_loss` is the validation loss at this step, if it
    /// was evaluated.
    ///
    /// Later checkpoints are removed unless the same checkpoint already exists: training was continued from an older one, so
    /// they belong to another course of the run.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight is not finite; `good_checkpoint` says which checkpoint can still be used. If writing
    /// fails, the incomplete checkpoint is removed and earlier ones stay.
    pub async fn save(
        &self,
        files: &Files,
        state: &TrainingState,
        val_loss: Option<f64>,
        good_checkpoint: &str,
    ) -> Result<()> {
        // A loss belongs to the weights before its step; the last update may have broken them since.
        let weights = read_safetensors(WEIGHTS, files.get(WEIGHTS).map_or(&[], Vec::as_slice))?;
        if weights.values().any(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
            let step = state.step + 1;
            let saved = good_checkpoint.into();
            return Err(Error::Diverged { step, loss: f32::NAN, saved });
        }
        if let Err(error) = self.write_checkpoint(files, state.step, val_loss).await {
            // An earlier save of the same step may have completed it.
            if !self.is_complete(state.step).await.unwrap_or(true) {
                let _ = self.store.remove(&Self::path_of(state.step)).await;
            }
            return Err(error);
        }
        self.prune(&state.train.checkpoints).await
    }

    async fn write_checkpoint(
        &self,
        files: &Files,
        step: u64,
        val_loss: Option<f64>,
    ) -> Result<()> {
        let path = Self::path_of(step);
        let state_path = format!("{path}/{STATE}");
        let state = files.get(STATE).expect("a training checkpoint has a state");
        let old_state = self.store.read(&state_path).await.ok();
        let mut left: Vec<_> = files.iter().filter(|(name, _)| *name != STATE).collect();
        if old_state.is_some() {
            let mut changed = Vec::new();
            for (name, bytes) in left {
                if self.store.read(&format!("{path}/{name}")).await.ok().as_ref() != Some(bytes) {
                    changed.push((name, bytes));
                }
            }
            left = changed;
        }
        let is_replaced = !left.is_empty();
        if is_replaced {
            // Without its state, a checkpoint of the same step no longer counts as complete while it is replaced.
            self.store.remove(&state_path).await?;
        }
        for (name, bytes) in left {
            self.store.write(&format!("{path}/{name}"), bytes).await?;
        }
        if old_state.as_ref() != Some(state) {
            self.forget_after(step, is_replaced).await?;
        }
        // Before the state: a run that resumes after a crash in between comes to this evaluation once more.
        let best = self.store.read(BEST).await.ok();
        self.note_best(step, val_loss).await?;
        let written = self.store.write(&state_path, state).await;
        if written.is_err() && !self.is_complete(step).await.unwrap_or(true) {
            let _ = match best {
                Some(best) => self.store.write(BEST, &best).await,
                None => self.store.remove(BEST).await,
            };
        }
        written
    }

    /// Forgets what belongs to another course of the run: later checkpoints, and a best one that was later or is replaced.
    async fn forget_after(&self, step: u64, is_replaced: bool) -> Result<()> {
        let is_other = |best: Best| best.step > step || is_replaced && best.step == step;
        if self.best().await.is_some_and(is_other) {
            self.store.remove(BEST).await?;
        }
        for later in self.steps().await?.into_iter().filter(|later| *later > step) {
            self.remove(later).await?;
        }
        Ok(())
    }

    async fn note_best(&self, step: u64, val_loss: Option<f64>) -> Result<()> {
        let Some(val_loss) = val_loss else { return Ok(()) };
        let steps = self.steps().await?;
        let other =
            self.best().await.filter(|best| best.step != step && steps.contains(&best.step));
        if other.is_some_and(|other| other.val_loss <= val_loss) {
            return Ok(());
        }
        let json = serde_json::to_vec(&Best { step, val_loss }).expect("two numbers serialize");
        self.store.write(BEST, &json).await
    }

    async fn prune(&self, keep: &CheckpointConfig) -> Result<()> {
        let best = self.best().await.map(|best| best.step);
        for step in removable(&self.steps().await?, best, keep.keep_last, keep.keep_spread) {
            self.remove(step).await?;
        }
        Ok(())
    }

    async fn remove(&self, step: u64) -> Result<()> {
        let path = Self::path_of(step);
        // Without its state, it no longer counts as complete.
        self.store.remove(&format!("{path}/{STATE}")).await?;
        self.store.remove(&path).await
    }

    /// Publishes the files of the checkpoint of `step` at the top of the run, where transformers finds the model, and from a
    /// copy of which training can be resumed. The state is replaced last, as in every checkpoint. Does nothing if there is no
    /// such checkpoint.
    ///
    /// # Errors
    /// Writing fails.
    pub async fn publish(&self, step: u64) -> Result<()> {
        let path = Self::path_of(step);
        let there = files_in(&self.store, &path).await?;
        if !there.iter().any(|file| file == STATE) {
            return Ok(());
        }
        self.store.remove(STATE).await?;
        if HAS_LONG_RUNS && !there.iter().any(|file| file == AVERAGE) {
            // The run was averaged before.
            self.store.remove(AVERAGE).await?;
        }
        for name in FILES {
            if there.iter().any(|file| file == name) {
                self.store.publish(&format!("{path}/{name}"), name).await?;
            }
        }
        Ok(())
    }

    /// Publishes the newest checkpoint unless its files are at the top already. They may not be after a crash between saving
    /// and publishing, or in a copy of the run without the files at its top.
    ///
    /// # Errors
    /// Writing fails.
    async fn publish_newest(&self) -> Result<()> {
        let Some(step) = self.newest().await? else { return Ok(()) };
        let path = Self::path_of(step);
        let state = self.store.read(&format!("{path}/{STATE}")).await?;
        let top = files_in(&self.store, "").await?;
        let newest = files_in(&self.store, &path).await?;
        let is_there = |name: &String| top.contains(name) || !FILES.contains(&name.as_str());
        let published = newest.iter().all(is_there)
            && self.store.read(STATE).await.is_ok_and(|published| published == state);
        if published { Ok(()) } else { self.publish(step).await }
    }

    /// Returns the best checkpoint, if any was evaluated.
    pub async fn best(&self) -> Option<Best> {
        serde_json::from_slice(&self.store.read(BEST).await.ok()?).ok()
    }
}
