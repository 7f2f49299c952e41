//! The training objective: terms of the loss and their weights.

use serde::{Deserialize, Serialize};

use super::{DataKind, non_negative, require};
use crate::error::{Error, Result};

/// Settings of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct ObjectiveConfig {
    /// Weight of the squared logarithm of the softmax normalizer, which keeps logits from drifting (PaLM,
    /// Chowdhery et al. 2022, section 5: 1e-4); 0 turns it off. The training loss that is reported includes
    /// it, an evaluation never does.
    pub z_loss: f64,
    /// DPO temperature β: reward = β · log(π_θ / π_ref) (Rafailov et al. 2023, eq. 4). Only used with preference pairs.
    pub dpo_beta: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self { z_loss: 0.0, dpo_beta: 0.1 }
    }
}

impl ObjectiveConfig {
    /// Refuses settings of a fresh run that data of this `kind` leaves without effect.
    ///
    /// # Errors
    /// [`Self::dpo_beta`] set for other data than preference pairs.
    pub fn suits(&self, kind: DataKind) -> Result<()> {
        match kind != DataKind::Preferences && self.dpo_beta != Self::default().dpo_beta {
            true => Err(without_pairs("dpo_beta")),
            false => Ok(()),
        }
    }

    /// Checks the range of every setting.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn validate(&self) -> Result<()> {
        non_negative(&[("z_loss", self.z_loss)])?;
        require(
            self.dpo_beta.is_finite() && self.dpo_beta > 0.0,
            "dpo_beta",
            format!("{} is not a number above 0", self.dpo_beta),
            "use 0.1",
        )
    }
}

/// Of a setting of preference tuning, under the name `key`, where there are no preference pairs.
pub fn without_pairs(key: &str) -> Error {
    let remedy = "leave it out, or give .jsonl files of pairs of a chosen and a rejected answer";
    Error::config(key, "the data has no preference pairs, of which alone it is a setting", remedy)
}
