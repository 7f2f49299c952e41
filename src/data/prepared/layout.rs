//! Names and forms of the files of prepared data.

use serde::{Deserialize, Serialize};

/// File layout of the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `train-000000.bin`, …: llm.c's header, and the end-of-text token after each document.
    #[default]
    #[serde(rename = "blankslate")]
    Blankslate,
    /// `NAME_train_000000.bin`, …: llm.c's header, and the end-of-text token before each document.
    #[serde(rename = "llm.c")]
    LlmC,
    /// `train.bin` and `val.bin` without a header, and the end-of-text token after each document.
    #[serde(rename = "nanogpt")]
    NanoGpt,
}

/// Use of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Training data.
    Train,
    /// Validation data.
    Validation,
}

impl Split {
    /// Both splits.
    pub const ALL: [Self; 2] = [Self::Train, Self::Validation];

    /// Returns the name of the split in the names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "val",
        }
    }
}

impl Layout {
    /// Names and layouts, for options.
    pub const NAMES: [(&str, Self); 3] =
        [("blankslate", Self::Blankslate), ("llm.c", Self::LlmC), ("nanogpt", Self::NanoGpt)];

    /// Returns true if shards begin with llm.c's header.
    pub fn has_header(self) -> bool {
        self != Self::NanoGpt
    }

    /// Returns true if the end-of-text token is before each document instead of after it.
    pub fn begins_with_end(self) -> bool {
        self == Self::LlmC
    }

    /// Returns true if a split is a single file, whatever its size.
    pub fn has_one_shard(self) -> bool {
        self == Self::NanoGpt
    }

    /// Returns the file name of shard `index` of a split. `name` is the name of the data.
    pub fn file_name(self, name: &str, split: Split, index: usize) -> String {
        let split = split.name();
        match self {
            Self::Blankslate => format!("{split}-{index:06}.bin"),
            Self::LlmC => format!("{name}_{split}_{index:06}.bin"),
            Self::NanoGpt => format!("{split}.bin"),
        }
    }
}
