//! What is drawn from a trained model.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::Result;

/// How the next token is chosen from the logits, and when to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct SampleConfig {
    /// Tokens to generate at most.
    pub max_new_tokens: usize,
    /// Logits are divided by this; 0 takes the most likely token always.
    pub temperature: f64,
    /// Keep only the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest tokens whose probability reaches this (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f64,
    /// Drop tokens below this share of the most likely one's probability (Nguyen et al. 2024).
    pub min_p: f64,
    /// Divide positive, multiply negative logits of tokens already present (Keskar et al. 2019).
    pub repetition_penalty: f64,
    /// Stop as soon as the new text contains one of these.
    pub stop: Vec<String>,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            max_new_tokens: 200,
            temperature: 0.8,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 42,
        }
    }
}

impl SampleConfig {
    /// Refuses settings from which nothing could be drawn.
    pub fn validate(&self) -> Result<()> {
        require(
            self.temperature.is_finite() && self.temperature >= 0.0,
            "temperature",
            format!("{} is not a number of at least 0", self.temperature),
            "use 0 (greedy) to 1.5",
        )?;
        require(
            self.top_p > 0.0 && self.top_p <= 1.0,
            "top_p",
            format!("{} is not in (0, 1]", self.top_p),
            "use 0.95, or 1 to keep all",
        )?;
        require(
            (0.0..=1.0).contains(&self.min_p),
            "min_p",
            format!("{} is not in [0, 1]", self.min_p),
            "use 0.05, or 0 to keep all",
        )?;
        require(
            self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0,
            "repetition_penalty",
            format!("{} is not above 0", self.repetition_penalty),
            "use 1.0 (off) to 1.3",
        )
    }
}
