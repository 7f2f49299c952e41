//! Settings from flags and from a settings file.

use std::fs;
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::flags::SettingsArgs;
use crate::config::{DataConfig, LongRunConfig, ModelConfig, TrainConfig, from_json_strict};
use crate::error::{Error, Result};
use crate::run::GivenSettings;

impl SettingsArgs {
    /// Returns the settings that were given by flags.
    pub fn given(&self, tokenizer: Option<&str>) -> GivenSettings {
        GivenSettings {
            model: self.model.given().clone(),
            train: self.train.given().clone(),
            data: self.data.given().clone(),
            tokenizer: tokenizer.map(str::to_string),
            sample_every: self.monitor.given().get("sample_every").and_then(Value::as_u64),
            long_run: self.long_run.given().clone(),
        }
    }
}

/// Reads a settings file and checks its keys and types.
///
/// # Errors
/// The file cannot be read or has another form; a key is unknown.
pub fn read_settings(path: &Path) -> Result<GivenSettings> {
    const FORM: &str = r#"{"model": {…}, "train": {…}, "data": {…}, "tokenizer": "…"}"#;
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let file = path.display().to_string();
    let broken = |problem: String| Error::malformed(&file, problem, format!("it must be {FORM}"));
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
    let Value::Object(mut top) = value else { return Err(broken("it is not an object".into())) };
    let of_models = ["model_type", "architectures", "hidden_size", "n_embd"];
    if of_models.iter().any(|key| top.contains_key(*key)) {
        return Err(broken("it is the config.json of a model, not a settings file".into()));
    }
    let tokenizer = match top.remove("tokenizer") {
        None => None,
        Some(Value::String(spec)) => Some(spec),
        Some(other) => return Err(broken(format!("tokenizer is {other}, not a string"))),
    };
    let sample_every = match top.remove("sample_every") {
        None => None,
        Some(value) => Some(
            value
                .as_u64()
                .ok_or_else(|| broken(format!("sample_every is {value}, not a whole number")))?,
        ),
    };
    let given = GivenSettings {
        model: section::<ModelConfig>(&mut top, "model", &file)?,
        train: section::<TrainConfig>(&mut top, "train", &file)?,
        data: section::<DataConfig>(&mut top, "data", &file)?,
        tokenizer,
        sample_every,
        long_run: section::<LongRunConfig>(&mut top, "long_run", &file)?,
    };
    match top.keys().next() {
        None => Ok(given),
        Some(key) => Err(Error::UnknownKey {
            key: key.clone(),
            file,
            known: "model, train, data, tokenizer, sample_every, long_run".into(),
        }),
    }
}

/// Takes one section of a settings file.
fn section<T: DeserializeOwned + Serialize + Default>(
    top: &mut Map<String, Value>,
    name: &str,
    file: &str,
) -> Result<Map<String, Value>> {
    let value = top.remove(name).unwrap_or_else(|| json!({}));
    from_json_strict::<T>(value.to_string().as_bytes(), &format!("`{name}` of {file}"))?;
    match value {
        Value::Object(map) => Ok(map),
        _ => unreachable!("checked to be an object"),
    }
}
