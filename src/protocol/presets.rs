//! Presets and synthetic datasets, as the page offers them.

use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, ModelConfig, Preset, TrainConfig};
use crate::data::SyntheticDataset;
use crate::run::RunConfig;

/// A preset in the page's menu, with the settings that its form begins with.
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
    /// Steps between two live samples.
    pub sample_every: u64,
}

impl From<Preset> for PresetInfo {
    fn from(preset: Preset) -> Self {
        let description = preset.description.into();
        let RunConfig { name, tokenizer, model, train, data, sample_every } =
            RunConfig::form_base(preset);
        Self { name, description, tokenizer, model, train, data, sample_every }
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
