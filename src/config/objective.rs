//! The training objective: terms of the loss and their weights.

use super::DataKind;
use super::declare::settings;
use super::range::Range;
use super::setting::when;
use crate::error::{Error, Result};

settings! {
    /// Settings of the loss.
    pub struct ObjectiveConfig ("Objective") {
        /// Weight of the z-loss, which keeps the logits from drifting: the squared logarithm of the softmax normalizer is
        /// added to the training loss, and never to a validation loss. 0 turns it off.
        z_loss: f64 = 0.0 => {
            label: "z-loss",
            range: Range::at_least(0.0),
            usual: "0, or 0.0001 as in PaLM",
            formula: "loss + z · (ln Σ eˢ)²",
            source: "Chowdhery et al. 2022 (PaLM)",
        },
        /// DPO temperature β: larger values keep the model closer to the one that tuning starts from. Only used with
        /// preference pairs.
        dpo_beta: f64 = 0.1 => {
            label: "DPO β",
            range: Range::above(0.0),
            step: Some(0.05),
            applies_if: when("kind", "preferences"),
            usual: "0.1",
            formula: "−ln σ(reward(chosen) − reward(rejected)), reward = β · ln(π_θ ∕ π_ref)",
            source: "Rafailov et al. 2023 (DPO)",
        },
    }
}

impl ObjectiveConfig {
    /// Refuses settings that have no effect on data of this `kind`.
    ///
    /// # Errors
    /// `dpo_beta` is set, but the data has no preference pairs.
    pub fn suits(&self, kind: DataKind) -> Result<()> {
        if kind != DataKind::Preferences && self.dpo_beta != Self::default().dpo_beta {
            return Err(without_pairs("dpo_beta"));
        }
        Ok(())
    }
}

/// Error for the setting `key`, which only applies to preference pairs, where the data has none.
pub fn without_pairs(key: &str) -> Error {
    let problem = "the data has no preference pairs, and only those use it";
    let remedy = "leave it out, or train on .jsonl files of chosen and rejected completions";
    Error::config(key, problem, remedy)
}
