//! Finds and reads the checkpoints of a run.

use super::RunDir;
use super::names::{CHECKPOINTS, is_model_file, step_of};
use super::read::{files_in, read_files};
use crate::checkpoint::{Files, STATE};
use crate::error::{Error, Result};

impl RunDir {
    /// Returns true if there is a run: a complete checkpoint, of a step or at the top of the directory.
    pub async fn holds_run(&self) -> Result<bool> {
        Ok(self.newest().await?.is_some() || self.store.list("").await?.iter().any(|f| f == STATE))
    }

    /// Returns the steps of the complete checkpoints, ascending.
    pub async fn steps(&self) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        for step in self.store.list(CHECKPOINTS).await?.iter().filter_map(|name| step_of(name)) {
            if self.is_complete(step).await? {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Returns the step of the newest complete checkpoint; none without one below `checkpoints/`.
    pub async fn newest(&self) -> Result<Option<u64>> {
        Ok(self.steps().await?.last().copied())
    }

    /// Returns the step of the newest complete checkpoint but one, which can be used if the newest is damaged.
    pub async fn older(&self) -> Option<u64> {
        self.steps().await.ok()?.iter().rev().nth(1).copied()
    }

    pub(super) async fn is_complete(&self, step: u64) -> Result<bool> {
        Ok(self.store.list(&Self::path_of(step)).await?.iter().any(|file| file == STATE))
    }

    /// Reads the files of the checkpoint of `step`.
    ///
    /// # Errors
    /// The step is not kept; reading fails.
    pub async fn load_step(&self, step: u64) -> Result<Files> {
        match self.read_step(step, is_any).await? {
            Some(files) => Ok(files),
            None => {
                let steps = self.steps().await?;
                let kept: Vec<String> = steps.iter().map(u64::to_string).collect();
                let problem = format!("no checkpoint of step {step} is kept");
                Err(Error::config("step", problem, format!("choose one of: {}", kept.join(", "))))
            }
        }
    }

    /// Reads the files of the newest complete checkpoint or, if there is none, of a checkpoint at the top of the directory (an
    /// unpacked download, a directory of transformers).
    ///
    /// # Errors
    /// Reading fails.
    pub async fn load(&self) -> Result<Files> {
        while let Some(step) = self.newest().await? {
            if let Some(files) = self.read_step(step, is_any).await? {
                return Ok(files);
            }
        }
        read_files(&self.store, "", is_any).await
    }

    /// Reads the files of the model, without those that only training needs: the ones at the top of the directory, where
    /// transformers finds them. While the top is incomplete, because the first checkpoint is being published or a crash
    /// interrupted that, reads those of the newest checkpoint. Returns the path of the directory that was read as well, which
    /// is empty for the top.
    ///
    /// # Errors
    /// Reading fails.
    pub async fn load_model(&self) -> Result<(String, Files)> {
        while let Some(step) = self.newest().await? {
            let path = Self::path_of(step);
            let top = self.store.list("").await?;
            let model = files_in(&self.store, &path).await?;
            if model.iter().filter(|name| is_model_file(name)).all(|name| top.contains(name)) {
                break;
            }
            if let Some(files) = self.read_step(step, is_model_file).await? {
                return Ok((path, files));
            }
        }
        Ok((String::new(), read_files(&self.store, "", is_model_file).await?))
    }

    /// Reads the training state of the newest complete checkpoint, as bytes; none without a run.
    pub async fn newest_state(&self) -> Result<Option<Vec<u8>>> {
        let path = self.newest().await?.map(Self::path_of).unwrap_or_default();
        Ok(self.store.read(&format!("{path}/{STATE}")).await.ok())
    }

    /// Reads the checkpoint of `step`; none if it is not complete, or if a save removed it meanwhile.
    async fn read_step(&self, step: u64, wanted: fn(&str) -> bool) -> Result<Option<Files>> {
        if !self.is_complete(step).await? {
            return Ok(None);
        }
        let files = read_files(&self.store, &format!("{}/", Self::path_of(step)), wanted).await;
        // The state is the first file that is removed.
        if self.is_complete(step).await? { files.map(Some) } else { Ok(None) }
    }
}

fn is_any(_name: &str) -> bool {
    true
}
