//! Presets and synthetic datasets, as the page offers them.

use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, ModelConfig, Preset, TrainConfig};
use crate::data::SyntheticDataset;

/// A preset in the page's menu.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PresetInfo {
    /// Name.
    pub name: String,
    /// Description in one line.
    pub description: String,
    /// `char`, `byte`, `bpe:N` or `wordpiece:N`.
    pub tokenizer: String,
    /// Model configuration.
    pub model: ModelConfig,
    /// Training settings.
    pub train: TrainConfig,
    /// Data settings.
    pub data: DataConfig,
}

impl From<Preset> for PresetInfo {
    fn from(preset: Preset) -> Self {
        let Preset { name, description, tokenizer, model, train, data } = preset;
        let (name, description) = (name.into(), description.into());
        Self { name, description, tokenizer: tokenizer.into(), model, train, data }
    }
}

/// A synthetic dataset.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ExampleInfo {
    /// Name.
    pub name: String,
    /// Description.
    pub about: String,
}

impl From<&SyntheticDataset> for ExampleInfo {
    fn from(&SyntheticDataset { name, about, .. }: &SyntheticDataset) -> Self {
        Self { name: name.into(), about: about.into() }
    }
}
