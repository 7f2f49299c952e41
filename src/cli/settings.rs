//! Flags over a settings file over a preset, resolved to the structs that travel in checkpoints.
//!
//! Flags are named after the settings, so that they become JSON objects of the settings' own keys and one
//! function lays them over each other; nothing is copied field by field.

use std::fs;
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::flags::{BaseArgs, SettingsArgs};
use crate::config::{
    DataConfig, HiddenAct, ModelConfig, TrainConfig, from_json_strict, overridden, preset,
};
use crate::error::{Error, Result};

/// Everything that defines a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The architecture; `vocab_size` is a placeholder until the tokenizer is known.
    pub model: ModelConfig,
    /// Optimizer and schedule.
    pub train: TrainConfig,
    /// Windows.
    pub data: DataConfig,
    /// The tokenizer, in the command line's words.
    pub tokenizer: String,
    /// A live sample every so many steps; 0 never.
    pub sample_every: u64,
}

impl SettingsArgs {
    /// Settings of a fresh run, validated.
    pub fn fresh(&self, base: &BaseArgs, tokenizer: Option<&str>) -> Result<Settings> {
        let preset = preset(base.preset.as_deref().unwrap_or("tiny"))?;
        let mut settings = Settings {
            model: preset.model,
            train: preset.train,
            data: preset.data,
            tokenizer: preset.tokenizer.into(),
            sample_every: 0,
        };
        let mut context_given = false;
        if let Some(path) = &base.config {
            let file = path.display().to_string();
            let sections = read_config(&fs::read(path).map_err(|e| Error::io(path, e))?, &file)?;
            context_given = sections.model.contains_key("max_position_embeddings");
            settings = settings.with(&sections)?;
        }
        let flags = self.sections(tokenizer);
        context_given |= flags.model.contains_key("max_position_embeddings");
        settings = settings.with(&flags)?;
        let model = &mut settings.model;
        if !context_given {
            // Positions beyond the window would never be trained.
            model.max_position_embeddings = settings.data.seq_len.max(1);
        }
        if settings.train.adapts() {
            let problem = "an adapter belongs beside weights that have learnt something";
            return Err(Error::config("--lora-rank", problem, "name a model with --from"));
        }
        settings.validated()
    }

    /// Settings of a run that begins with the weights of `base`'s model, and its other settings.
    pub fn fine_tuned(&self, base: Settings, file: Option<&Path>) -> Result<Settings> {
        let sections = match file {
            None => Sections::default(),
            Some(path) => {
                let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
                read_config(&bytes, &path.display().to_string())?
            }
        };
        let laid_over = |base: &Settings| base.clone().with(&sections)?.with(&self.sections(None));
        let mut settings = laid_over(&base)?;
        if settings.train.adapts() {
            let train = base.train.clone().for_adapters();
            settings = laid_over(&Settings { train, ..base.clone() })?;
            settings.train.lora.adapted(&settings.model)?;
        }
        same_architecture("--from", &base, &settings, "leave the architecture's settings out")?;
        settings.validated()
    }

    /// Settings of a run that goes on: `saved`, with the flags that are given.
    pub fn resumed(&self, saved: Settings) -> Result<Settings> {
        let settings = saved.clone().with(&self.sections(None))?;
        let remedy = "leave the architecture's flags out, or start a new run with another --out";
        same_architecture("--resume", &saved, &settings, remedy)?;
        same_adapters(&saved.train, &settings.train)?;
        settings.validated()
    }

    fn sections(&self, tokenizer: Option<&str>) -> Sections {
        Sections {
            model: self.model.given().clone(),
            train: self.train.given().clone(),
            data: self.data.given().clone(),
            tokenizer: tokenizer.map(str::to_string),
            sample_every: self.monitor.given().get("sample_every").and_then(Value::as_u64),
        }
    }
}

/// Dropout is the one architectural setting that fits any weights.
fn same_architecture(flag: &str, saved: &Settings, now: &Settings, remedy: &str) -> Result<()> {
    match (ModelConfig { dropout: saved.model.dropout, ..now.model.clone() }) == saved.model {
        true => Ok(()),
        false => {
            let problem = "the architecture of saved weights cannot be changed";
            Err(Error::config(flag, problem, remedy))
        }
    }
}

fn same_adapters(saved: &TrainConfig, now: &TrainConfig) -> Result<()> {
    if saved.lora == now.lora {
        return Ok(());
    }
    let problem = "what a run trains beside its weights cannot be changed on the way";
    Err(Error::config("--lora-rank", problem, "leave --lora-… out, or begin anew with --from"))
}

/// Settings that are given: a file's or the flags'.
#[derive(Default)]
struct Sections {
    model: Map<String, Value>,
    train: Map<String, Value>,
    data: Map<String, Value>,
    tokenizer: Option<String>,
    sample_every: Option<u64>,
}

impl Settings {
    fn with(self, over: &Sections) -> Result<Self> {
        let mut train: TrainConfig = overridden(&self.train, &over.train)?;
        let (lr, before) = (train.optimizer.lr, self.train.optimizer.lr);
        if !over.train.contains_key("min_lr") && lr != before && before > 0.0 {
            train.schedule.min_lr = lr * (self.train.schedule.min_lr / before);
        }
        Ok(Self {
            model: with_derived(overridden(&self.model, &over.model)?, &over.model),
            train,
            data: overridden(&self.data, &over.data)?,
            tokenizer: over.tokenizer.clone().unwrap_or(self.tokenizer),
            sample_every: over.sample_every.unwrap_or(self.sample_every),
        })
    }

    fn validated(self) -> Result<Self> {
        self.train.validate()?;
        self.model.validate()?;
        self.data.validate(self.model.max_position_embeddings)?;
        Ok(self)
    }
}

/// Sizes that follow from others unless they are given.
fn with_derived(mut model: ModelConfig, given: &Map<String, Value>) -> ModelConfig {
    let has = |key| given.contains_key(key);
    if has("num_attention_heads") && !has("num_key_value_heads") {
        model.num_key_value_heads = model.num_attention_heads;
    }
    if (has("hidden_size") || has("num_attention_heads")) && !has("head_dim") {
        model.head_dim = model.hidden_size.checked_div(model.num_attention_heads).unwrap_or(0);
    }
    if (has("hidden_size") || has("hidden_act")) && !has("intermediate_size") {
        model.intermediate_size = match model.hidden_act {
            HiddenAct::Swiglu => {
                model.hidden_size.saturating_mul(8).div_ceil(3).next_multiple_of(8)
            }
            _ => model.hidden_size.saturating_mul(4),
        };
    }
    model
}

fn read_config(bytes: &[u8], file: &str) -> Result<Sections> {
    const FORM: &str = r#"{"model": {…}, "train": {…}, "data": {…}, "tokenizer": "…"}"#;
    let broken = |problem: String| Error::malformed(file, problem, format!("it must be {FORM}"));
    let value: Value = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
    let Value::Object(mut top) = value else { return Err(broken("it is not an object".into())) };
    if ["model_type", "architectures", "hidden_size", "n_embd"].iter().any(|k| top.contains_key(*k))
    {
        return Err(broken("it is a model's config.json, not a file of settings".into()));
    }
    let sections =
        Sections {
            model: section::<ModelConfig>(&mut top, "model", file)?,
            train: section::<TrainConfig>(&mut top, "train", file)?,
            data: section::<DataConfig>(&mut top, "data", file)?,
            tokenizer: match top.remove("tokenizer") {
                None => None,
                Some(Value::String(spec)) => Some(spec),
                Some(other) => return Err(broken(format!("tokenizer is {other}, not a string"))),
            },
            sample_every: match top.remove("sample_every") {
                None => None,
                Some(value) => Some(value.as_u64().ok_or_else(|| {
                    broken(format!("sample_every is {value}, not a whole number"))
                })?),
            },
        };
    match top.keys().next() {
        None => Ok(sections),
        Some(key) => Err(Error::UnknownKey {
            key: key.clone(),
            file: file.into(),
            known: "model, train, data, tokenizer, sample_every".into(),
        }),
    }
}

/// One section of a settings file, its keys and types checked.
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
