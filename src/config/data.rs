//! Kind of the examples, and the windows that batches are made of.

use super::declare::{choices, settings};
use super::range::{Range, SIZE};
use super::setting::{Settings, require};
use crate::error::Result;

choices! {
    /// Order in which windows are drawn from the training tokens.
    pub enum DataOrder {
        /// Every window starts at a seeded random token, as in nanoGPT.
        Random = "random", "random";
        /// Windows do not overlap. Each is seen once per epoch, in a seeded order.
        Sequential = "sequential", "whole epochs";
    }
}

choices! {
    /// Kind of the training examples.
    pub enum DataKind {
        /// Text: every token is predicted.
        Text = "text", "text";
        /// Chat messages, one JSON object `{"messages": [...]}` a line: the assistant's messages are predicted.
        Conversations = "conversations", "conversations";
        /// Preference pairs, one JSON object `{"prompt": …, "chosen": …, "rejected": …}` a line: the chosen completion
        /// shall become more likely than the rejected one.
        Preferences = "preferences", "preference pairs";
    }
}

#[expect(clippy::derivable_impls, reason = "`choices!` marks no variant as the default")]
impl Default for DataKind {
    fn default() -> Self {
        Self::Text
    }
}

impl DataKind {
    /// Returns how many sequences make one example.
    pub fn rows(self) -> usize {
        match self {
            Self::Text | Self::Conversations => 1,
            Self::Preferences => 2,
        }
    }

    /// Whether the examples are made of chat messages.
    pub fn has_turns(self) -> bool {
        self != Self::Text
    }
}

settings! {
    /// Settings of the batches.
    pub struct DataConfig ("Data") {
        /// Kind of the training examples. It follows from the data.
        kind: DataKind = DataKind::Text,
        /// Number of tokens in each training sequence. The cost of attention per token grows with it.
        seq_len: usize = 32 => {
            label: "Sequence length",
            unit: "tokens",
            range: SIZE,
            usual: "32 to 256 in a browser tab, 1,024 in GPT-2",
            formula: "tokens per step = batch size · sequence length",
        },
        /// Share of the data, at its end, that is held out to measure the validation loss.
        val_fraction: f64 = 0.1 => {
            label: "Validation share",
            range: Range::at_least(0.0).below(1.0),
            step: Some(0.05),
            usual: "0.1; 0 for no validation",
            source: "nanoGPT",
        },
        /// Where training windows start: at random tokens, or one after the other so that each is seen once per epoch.
        order: DataOrder = DataOrder::Random => { label: "Order" },
        /// Excludes predictions across the end of a document from the loss. The data needs end-of-text tokens.
        document_boundaries: bool = false => {
            label: "Document boundaries",
            usual: "off",
            source: "Grattafiori et al. 2024 (Llama 3)",
        },
    }
}

impl DataConfig {
    /// Refuses settings that do not fit a model with a context of `context` tokens.
    ///
    /// # Errors
    /// The first setting out of range, or a `seq_len` above `context`.
    pub fn validate(&self, context: usize) -> Result<()> {
        self.validate_ranges()?;
        require(
            self.seq_len <= context,
            "seq_len",
            format!("{} exceeds the model's context of {context} tokens", self.seq_len),
            &format!("use at most {context}, or a larger `max_position_embeddings`"),
        )
    }
}
