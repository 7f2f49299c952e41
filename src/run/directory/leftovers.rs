//! Removes what crashes left in the directory of a run.

use super::RunDir;
use super::names::{BEST, CHECKPOINTS, FILES, METRICS, step_of};
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

    /// Removes incomplete checkpoints, temporary files, and complete checkpoints that `keep` no longer keeps. Directories that
    /// contain files of other programs stay.
    async fn clean(&self, keep: &CheckpointConfig) -> Result<()> {
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
        let steps = self.steps().await?;
        // After a crash before the best checkpoint was complete, an earlier one may still be the best.
        match self.best().await {
            Some(best) if !steps.contains(&best.step) => Ok(()),
            _ => self.prune(keep).await,
        }
    }

    async fn remove_temporary(&self, path: &str) -> Result<()> {
        let names = FILES.into_iter().chain([BEST, METRICS]);
        let names: Vec<&str> = names.filter_map(|file| file.rsplit('/').next()).collect();
        self.store.remove_temporary(path, &names).await?;
        self.store.remove_temporary(&format!("{path}/{ADAPTER}"), &names).await
    }
}
