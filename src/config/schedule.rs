//! The learning-rate schedule.

use serde::{Deserialize, Serialize};

use super::non_negative;
use crate::error::Result;

/// The learning rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// `lr` throughout.
    Constant,
    /// Half a cosine from `lr` to `min_lr` (Loshchilov & Hutter 2017).
    Cosine,
    /// A straight line from `lr` to `min_lr`.
    Linear,
    /// Warm-up, stable, then a straight line to `min_lr` over `decay_steps` (Hu et al. 2024).
    WarmupStableDecay,
}

/// Settings of the learning-rate schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct ScheduleConfig {
    /// Which schedule.
    #[serde(rename = "schedule")]
    pub kind: ScheduleKind,
    /// Learning rate at the end of a decaying schedule.
    pub min_lr: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Last steps over which `warmup_stable_decay` falls.
    pub decay_steps: u64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { kind: ScheduleKind::Cosine, min_lr: 1e-4, warmup_steps: 20, decay_steps: 100 }
    }
}

impl ScheduleConfig {
    /// The default schedule with another number of warm-up steps.
    pub fn with_warmup(warmup_steps: u64) -> Self {
        Self { warmup_steps, ..Self::default() }
    }

    /// Checks the range of every setting.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn validate(&self) -> Result<()> {
        non_negative(&[("min_lr", self.min_lr)])
    }
}
