//! Removes what crashes left in the directory of a run.

use super::RunDir;
use super::names::{BEST, CHECKPOINTS, FILES, METRICS, RUN_CARD, step_of};
use crate::checkpoint::{ADAPTER, STATE};
use crate::config::CheckpointConfig;
use crate::error::Result;

impl RunDir {
    /// Prepares the directory for training, whatever happened to it before: removes leftovers, and completes the publication of
    /// the newest checkpoint. No other process may be saving there.
    ///
    /// # Errors
    /// Removing or writing fails.
    pub async fn recover(&self, keep: &CheckpointConfig) -> Result<()> {
        self.clean(keep).await?;
        self.publish_newest().await
    }

    /// As [`Self::recover`], to continue from the checkpoint of `step`. If there are later ones, which are damaged, all checkpoints
    /// stay as they are until one is saved.
    ///
    /// # Errors
    /// As [`Self::recover`].
    pub async fn recover_at(&self, step: u64, keep: &CheckpointConfig) -> Result<()> {
        match self.newest().await? {
            Some(newest) if newest > step => self.remove_incomplete().await,
            _ => self.recover(keep).await,
        }
    }

    /// Removes incomplete checkpoints, temporary files, and complete checkpoints that `keep` no longer keeps.
    async fn clean(&self, keep: &CheckpointConfig) -> Result<()> {
        self.remove_incomplete().await?;
        let steps = self.steps().await?;
        // After a crash before the best checkpoint was complete, an earlier one may still be the best.
        match self.best().await {
            Some(best) if !steps.contains(&best.step) => Ok(()),
            _ => self.prune(keep).await,
        }
    }

    /// Removes incomplete checkpoints and temporary files. Directories that contain files of other programs stay.
    async fn remove_incomplete(&self) -> Result<()> {
        self.remove_temporary("").await?;
        for name in self.store.list(CHECKPOINTS).await? {
            if step_of(&name).is_none() {
                continue;
            }
            let path = format!("{CHECKPOINTS}/{name}");
            self.remove_temporary(&path).await?;
            let there = self.store.list(&path).await?;
            let is_ours = |name: &String| name == ADAPTER || FILES.contains(&name.as_str());
            if there.iter().all(is_ours) && !there.iter().any(|name| name == STATE) {
                self.store.remove(&path).await?;
            }
        }
        Ok(())
    }

    async fn remove_temporary(&self, path: &str) -> Result<()> {
        let names = FILES.into_iter().chain([BEST, METRICS, RUN_CARD]);
        let names: Vec<&str> = names.filter_map(|file| file.rsplit('/').next()).collect();
        self.store.remove_temporary(path, &names).await?;
        self.store.remove_temporary(&format!("{path}/{ADAPTER}"), &names).await
    }
}
