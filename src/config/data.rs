//! Which examples are trained on, and in which windows.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::Result;

/// The order in which windows are drawn from the training tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DataOrder {
    /// Every window starts at a seeded random token (nanoGPT's way).
    Random,
    /// Non-overlapping windows, each seen once per epoch, in a seeded order.
    Sequential,
}

/// What is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Text: every token is predicted.
    #[default]
    Text,
    /// Conversations, one JSON object `{"messages": [...]}` a line: what the assistant says is predicted.
    Conversations,
    /// Pairs of answers, one JSON object `{"prompt": …, "chosen": …, "rejected": …}` a line: the chosen answer is to
    /// become likelier than the rejected one.
    Preferences,
}

impl DataKind {
    /// Sequences that make one example.
    pub fn rows(self) -> usize {
        match self {
            Self::Text | Self::Conversations => 1,
            Self::Preferences => 2,
        }
    }

    /// Whether it is made of turns.
    pub fn has_turns(self) -> bool {
        self != Self::Text
    }
}

/// How text becomes batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct DataConfig {
    /// What is trained on.
    pub kind: DataKind,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Share of the tokens, at the end, kept for validation.
    pub val_fraction: f64,
    /// The order of windows.
    pub order: DataOrder,
    /// Ignore targets that cross from one document into the next (needs an end-of-text token).
    pub document_boundaries: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            kind: DataKind::Text,
            seq_len: 32,
            val_fraction: 0.1,
            order: DataOrder::Random,
            document_boundaries: false,
        }
    }
}

impl DataConfig {
    /// Refuses what cannot be fed to a model with room for `context` tokens.
    pub fn validate(&self, context: usize) -> Result<()> {
        require(
            (1..=context).contains(&self.seq_len),
            "seq_len",
            format!("{} is not between 1 and the model's context of {context}", self.seq_len),
            "use a shorter --seq-len or a larger max_position_embeddings",
        )?;
        require(
            (0.0..1.0).contains(&self.val_fraction),
            "val_fraction",
            format!("{} is not a share below 1", self.val_fraction),
            "use 0.1, or 0 for no validation",
        )
    }
}
