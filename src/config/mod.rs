//! Every setting there is, with its default, its range and its validation.
//!
//! [`ModelConfig`] changes the function a model computes, [`TrainConfig`] and [`DataConfig`] change
//! the trajectory of training, [`SampleConfig`] changes what is drawn from the result. All of them
//! travel inside the checkpoint. A key that nothing reads is an error, never ignored.

mod checkpoints;
mod data;
mod estimate;
mod lora;
mod model;
mod objective;
mod optimizer;
mod precision;
mod preset;
mod sample;
mod schedule;
mod train;

pub use checkpoints::CheckpointConfig;
pub use data::{DataConfig, DataKind, DataOrder};
pub use estimate::Estimate;
pub use lora::{LoraConfig, Projection};
pub use model::{
    HiddenAct, InitScheme, ModelConfig, NormKind, PositionEmbedding, RopeScaling, RopeType,
};
pub use objective::{ObjectiveConfig, without_pairs};
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use precision::Precision;
pub use preset::{PRESETS, Preset, preset};
pub use sample::SampleConfig;
pub use schedule::{ScheduleConfig, ScheduleKind};
pub use train::TrainConfig;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::{Error, Result};

/// Reads a settings object, refusing keys that `T` does not have.
///
/// `file` names the source in error messages. Missing keys take their defaults where `T` has them.
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

/// `Err` with `key` and `remedy` unless `ok`.
fn require(ok: bool, key: &str, problem: impl Into<String>, remedy: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(key, problem, remedy)) }
}

/// `Err` for the first setting that is not a finite number of at least 0.
fn non_negative(settings: &[(&str, f64)]) -> Result<()> {
    for &(key, value) in settings {
        require(
            value.is_finite() && value >= 0.0,
            key,
            format!("{value} is not a number of at least 0"),
            "use a positive number, or 0 to turn it off",
        )?;
    }
    Ok(())
}
