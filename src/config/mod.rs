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

mod accumulation;
mod architecture;
mod checkpoints;
mod costs;
mod data;
mod declare;
mod end_tokens;
mod estimate;
mod long_run;
mod lora;
mod model;
mod model_builder;
mod monitor;
mod objective;
mod optimizer;
mod precision;
mod preset;
mod quantity;
mod range;
mod sample;
mod schedule;
mod setting;
mod step_memory;
mod train;

pub use accumulation::Accumulation;
pub use architecture::{HiddenAct, InitScheme, NormKind, PositionEmbedding, RopeScaling, RopeType};
pub use checkpoints::CheckpointConfig;
pub use costs::Costs;
pub use data::{DataConfig, DataKind, DataOrder};
pub use end_tokens::EndTokens;
pub use estimate::{Estimate, ShareEstimate};
pub use long_run::{LongRunConfig, OnSpike};
pub use lora::{LoraConfig, Projection};
pub use model::ModelConfig;
pub use monitor::MonitorConfig;
pub use objective::{ObjectiveConfig, without_pairs};
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use precision::Precision;
pub use preset::{PRESETS, Preset, Start, default_text, preset};
pub use quantity::{bytes, short};
pub use range::Range;
pub use sample::SampleConfig;
pub use schedule::{ScheduleConfig, ScheduleKind};
pub use setting::{Choice, Condition, Group, Kind, Setting, Settings};
pub use step_memory::{Replicas, Share, StepMemory};
pub use train::TrainConfig;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::error::{Error, Result, json_problem};

/// Returns the declarations of all settings.
pub fn all_settings() -> impl Iterator<Item = &'static Setting> {
    ModelConfig::settings()
        .chain(TrainConfig::settings())
        .chain(DataConfig::settings())
        .chain(MonitorConfig::settings())
        .chain(SampleConfig::settings())
        .chain(long_run_settings())
}

/// The page has no long runs, and its wasm does not carry their settings.
fn long_run_settings() -> impl Iterator<Item = &'static Setting> {
    let groups = if crate::HAS_LONG_RUNS { LongRunConfig::GROUPS } else { &[] };
    groups.iter().flat_map(Group::settings)
}

/// Returns the declaration of the setting `key`.
pub fn setting(key: &str) -> Option<&'static Setting> {
    all_settings().find(|setting| setting.key == key)
}

/// Returns the label of the setting `key` in the page's form.
pub fn label(key: &str) -> Option<String> {
    Some(setting(key)?.label.into())
}

/// Returns the error for the first value anywhere in `json` that is not of its setting's type; none if there is no such value.
pub fn wrong_setting(json: &Value) -> Option<Error> {
    match json {
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let wrong = setting(key).filter(|setting| !setting.takes(value));
            wrong.map(|setting| setting.wrong_type(value)).or_else(|| wrong_setting(value))
        }),
        Value::Array(items) => items.iter().find_map(wrong_setting),
        _ => None,
    }
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
            None => {
                Error::config("settings", json_problem(&error), "give each a value of its type")
            }
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
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::malformed(file, json_problem(&e), remedy))?;
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
    serde_json::from_value(value).map_err(|e| Error::malformed(file, json_problem(&e), remedy))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_value_is_found_by_its_setting_at_any_depth() {
        let told = |json: Value| wrong_setting(&json).map(|error| error.to_string());
        let sampling = |top_k: Value| json!({"type": "generate", "config": {"top_k": top_k}});
        assert_eq!(told(sampling(json!(40))), None);
        assert!(told(sampling(json!(-3))).unwrap().starts_with("top_k must be at least "));
        assert!(
            told(sampling(json!(1.5))).unwrap().starts_with("top_k: 1.5 is not a whole number")
        );
        let layers = json!([{"model": {"num_hidden_layers": -3, "hidden_size": 64}}]);
        let error = told(layers).unwrap();
        assert!(
            error.starts_with("num_hidden_layers must be at least 1, not -3; use 2"),
            "{error}"
        );
        assert!(told(json!({"optimizer": "sgd"})).unwrap().contains("is not one of adamw"));
        assert_eq!(told(json!({"lr": null, "optimizer": "muon", "unknown": -1})), None);
    }
}
