//! Which checkpoints are saved and kept.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::Result;

/// Settings of saving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct CheckpointConfig {
    /// Save a checkpoint every so many steps; 0 only at the end.
    pub save_every: u64,
    /// How many step checkpoints to keep beside the best one.
    pub keep_last: usize,
    /// How many older step checkpoints to keep beside those, spread evenly over the steps.
    pub keep_spread: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { save_every: 100, keep_last: 2, keep_spread: 0 }
    }
}

impl CheckpointConfig {
    /// Checks the range of every setting.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn validate(&self) -> Result<()> {
        require(self.keep_last > 0, "keep_last", "0 checkpoints", "keep at least 1")
    }
}
