//! Every setting, declared once with its default, range and description (see [`Setting`]).
//!
//! [`ModelConfig`] changes the function a model computes, [`TrainConfig`] and [`DataConfig`] change the trajectory of
//! training, [`SampleConfig`] changes what is sampled from the result. All of them are saved in checkpoints. An unknown
//! key in a file is an error.
//!
//! ```
//! use blankslate::config::{ModelConfig, TrainConfig, from_json_strict, setting};
//!
//! let gpt2 = ModelConfig::gpt2(50_257).with_context(1024).with_hidden_size(768).with_layers(12).with_heads(12);
//! gpt2.validate()?;
//! assert_eq!((gpt2.head_dim, gpt2.intermediate_size), (64, 3072)); // they follow
//!
//! let llama = ModelConfig::llama(32_000).with_hidden_size(512).with_heads(8).with_kv_heads(2);
//! assert_eq!(llama.intermediate_size, 1368);
//!
//! let train: TrainConfig = from_json_strict(br#"{"steps": 500, "lr": 0.001}"#, "settings.json")?;
//! assert_eq!((train.steps, train.optimizer.lr), (500, 0.001));
//! assert!(from_json_strict::<TrainConfig>(br#"{"learning_rate": 1}"#, "settings.json").is_err());
//! assert_eq!(setting("batch_size").unwrap().label, "Batch size");
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod architecture;
mod checkpoints;
mod data;
mod declare;
mod end_tokens;
mod estimate;
mod lora;
mod model;
mod model_builder;
mod monitor;
mod objective;
mod optimizer;
mod precision;
mod preset;
mod range;
mod sample;
mod schedule;
mod setting;
mod train;

pub use architecture::{HiddenAct, InitScheme, NormKind, PositionEmbedding, RopeScaling, RopeType};
pub use checkpoints::CheckpointConfig;
pub use data::{DataConfig, DataKind, DataOrder};
pub use end_tokens::EndTokens;
pub use estimate::Estimate;
pub use lora::{LoraConfig, Projection};
pub use model::ModelConfig;
pub use monitor::MonitorConfig;
pub use objective::{ObjectiveConfig, without_pairs};
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use precision::Precision;
pub use preset::{PRESETS, Preset, Start, default_text, preset};
pub use range::Range;
pub use sample::SampleConfig;
pub use schedule::{ScheduleConfig, ScheduleKind};
pub use setting::{Choice, Condition, Group, Kind, Setting, Settings};
pub use train::TrainConfig;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Returns the declaration of the setting `key`.
pub fn setting(key: &str) -> Option<&'static Setting> {
    ModelConfig::settings()
        .chain(TrainConfig::settings())
        .chain(DataConfig::settings())
        .chain(MonitorConfig::settings())
        .chain(SampleConfig::settings())
        .find(|setting| setting.key == key)
}

/// Returns the label of the setting `key` in the page's form.
pub fn label(key: &str) -> Option<String> {
    Some(setting(key)?.label.into())
}

/// Returns `base` with other values of the settings in `over`, which are given by key.
///
/// # Errors
/// A value of the wrong type.
pub fn overridden<T: Settings>(base: &T, over: &Map<String, Value>) -> Result<T> {
    let mut settings = base.to_map();
    settings.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
    serde_json::from_value(Value::Object(settings)).map_err(|error| {
        let wrong = over.iter().find(|(key, value)| {
            let mut one = base.to_map();
            one.insert((*key).clone(), (*value).clone());
            serde_json::from_value::<T>(Value::Object(one)).is_err()
        });
        match wrong.and_then(|(key, value)| Some((setting(key)?, value))) {
            Some((setting, value)) => setting.wrong_type(value),
            None => Error::config("settings", error.to_string(), "give each a value of its type"),
        }
    })
}

/// Reads a JSON object of settings, refusing keys that `T` does not have.
///
/// `file` names the source in error messages. Missing keys take their defaults where `T` has them.
///
/// # Errors
/// Malformed JSON, an unknown key, or a value of the wrong type.
pub fn from_json_strict<T>(bytes: &[u8], file: &str) -> Result<T>
where
    T: DeserializeOwned + Serialize + Default,
{
    let remedy = "it must be one JSON object of settings";
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| Error::malformed(file, e.to_string(), remedy))?;
    let given = value
        .as_object()
        .ok_or_else(|| Error::malformed(file, "it is not a JSON object", remedy))?;
    let known = serde_json::to_value(T::default()).expect("settings serialize");
    let known = known.as_object().expect("settings are objects");
    if let Some(key) = given.keys().find(|key| !known.contains_key(*key)) {
        return Err(Error::UnknownKey {
            key: key.clone(),
            file: file.into(),
            known: known.keys().cloned().collect::<Vec<_>>().join(", "),
        });
    }
    serde_json::from_value(value).map_err(|e| Error::malformed(file, e.to_string(), remedy))
}
