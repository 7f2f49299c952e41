//! The configuration of a run: all settings that define it, and the rules that derive one setting from another.
//!
//! Settings that are given by key (in a settings file, by flags, in the page's form) are laid over a base: a preset,
//! or the configuration of the run that is fine-tuned or resumed. Every edge resolves its settings here:
//! [`RunConfig::with`] has the rules that always apply, and the page suggests more ([`RunConfig::of_form`]).

mod fine_tune;
mod form;
mod rules;
mod start;

pub use start::no_fresh_preferences;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checkpoint::TrainingState;
use crate::config::{
    Accumulation, DataConfig, DataKind, ModelConfig, Preset, TrainConfig, overridden, without_pairs,
};
use crate::error::{Error, Result};
use crate::model::{Cut, Part};
use crate::objective::{objective_for, suits_division};
use crate::parallel::Layout;
use rules::{derive_min_lr, derive_sizes};

/// Everything that defines a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunConfig {
    /// Name of the run: its name in the browser's storage, or its directory.
    pub name: String,
    /// `char`, `byte`, `bpe:N` or `wordpiece:N`; natively also the path of a tokenizer.
    pub tokenizer: String,
    /// The architecture; `vocab_size` is replaced by the tokenizer's.
    pub model: ModelConfig,
    /// Optimizer and schedule.
    pub train: TrainConfig,
    /// Data settings, such as the sequence length.
    pub data: DataConfig,
    /// Steps between two live samples; 0 turns them off.
    pub sample_every: u64,
}

/// Settings given explicitly, by key. A setting that is absent keeps its value, or follows those it derives from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(default, deny_unknown_fields)]
pub struct GivenSettings {
    /// Keys of [`ModelConfig`].
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub model: Map<String, Value>,
    /// Keys of [`TrainConfig`].
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub train: Map<String, Value>,
    /// Keys of [`DataConfig`].
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub data: Map<String, Value>,
    /// [`RunConfig::tokenizer`].
    pub tokenizer: Option<String>,
    /// [`RunConfig::sample_every`].
    pub sample_every: Option<u64>,
    /// Keys of [`LongRunConfig`](crate::config::LongRunConfig), which the page does not have.
    #[serde(skip)]
    #[cfg_attr(test, ts(skip))]
    pub long_run: Map<String, Value>,
}

impl RunConfig {
    /// Returns the settings of a preset, under the name `name`.
    pub fn from_preset(name: &str, preset: Preset) -> Self {
        Self {
            name: name.into(),
            tokenizer: preset.tokenizer.into(),
            model: preset.model,
            train: preset.train,
            data: preset.data,
            sample_every: 0,
        }
    }

    /// Returns the settings of the run that a checkpoint belongs to.
    pub fn of_checkpoint(name: &str, model: ModelConfig, state: &TrainingState) -> Self {
        Self {
            name: name.into(),
            tokenizer: state.tokenizer.clone(),
            model,
            train: state.train.clone(),
            data: state.data.clone(),
            sample_every: state.sample_every,
        }
    }

    /// Lays `given` over these settings. A changed setting takes along those that derive from it, unless they are given:
    /// the MLP's width follows the model's width, key-value heads and head width follow the heads, `min_lr` stays in
    /// proportion to `lr`.
    ///
    /// # Errors
    /// A value of the wrong type.
    pub fn with(&self, given: &GivenSettings) -> Result<Self> {
        let model = overridden(&self.model, &given.model)?;
        let train = overridden(&self.train, &given.train)?;
        Ok(Self {
            name: self.name.clone(),
            model: derive_sizes(model, &given.model),
            train: derive_min_lr(train, &self.train, &given.train),
            data: overridden(&self.data, &given.data)?,
            tokenizer: given.tokenizer.clone().unwrap_or_else(|| self.tokenizer.clone()),
            sample_every: given.sample_every.unwrap_or(self.sample_every),
        })
    }

    /// Returns these settings for data of the kind `found`. A fresh or fine-tuned run takes the kind that is there; one that is set
    /// for conversations or preference pairs requires it. `what` names the data in errors.
    ///
    /// # Errors
    /// Data of another kind; a setting among `given`, or other than its default, that has no effect on this kind.
    pub fn for_data(
        mut self,
        found: DataKind,
        what: &str,
        given: &[GivenSettings],
        resumes: bool,
    ) -> Result<Self> {
        let missing = match self.data.kind {
            DataKind::Conversations if found != self.data.kind => {
                Some(("conversations", r#"{"messages": [...]}"#))
            }
            DataKind::Preferences if found != self.data.kind => {
                Some(("preference pairs", r#"{"prompt": …, "chosen": …, "rejected": …}"#))
            }
            _ => None,
        };
        if let Some((missing, form)) = missing {
            let problem = format!("{what} holds no {missing}");
            let remedy = format!("give .jsonl files with one {form} per line");
            return Err(Error::config("data", problem, remedy));
        }
        self.data.kind = found;
        let beta_given = given.iter().any(|given| given.train.contains_key("dpo_beta"));
        if found != DataKind::Preferences && beta_given {
            return Err(without_pairs("dpo_beta"));
        }
        if !resumes {
            self.train.objective.suits(found)?;
        }
        Ok(self)
    }

    /// Returns these settings for a new run on `size` ranks, which add up gradients in a tree unless `given` says otherwise.
    pub fn for_ranks(mut self, size: usize, given: &[GivenSettings]) -> Self {
        let is_given = given.iter().any(|given| given.train.contains_key("accumulation"));
        if size > 1 && !is_given {
            self.train.accumulation = Accumulation::Tree;
        }
        self
    }

    /// Refuses settings that ranks of this layout cannot train with together.
    ///
    /// # Errors
    /// As [`TrainConfig::suits_ranks`], [`suits_division`], [`Cut::require`] and [`Part::divide`].
    pub fn suits_layout(&self, layout: Layout) -> Result<()> {
        self.train.suits_ranks(layout.dp, layout.pp, layout.tp)?;
        if layout.tp > 1 {
            let objective = objective_for(self.data.kind, &self.train.objective)?;
            suits_division(&*objective, layout.tp)?;
        }
        Cut::require(&self.model, layout.tp)?;
        Part::divide(&self.model, layout.pp).map(drop)
    }

    fn with_all(&self, layers: &[GivenSettings]) -> Result<Self> {
        layers.iter().try_fold(self.clone(), |config, given| config.with(given))
    }

    fn validated(self) -> Result<Self> {
        self.train.validate()?;
        self.model.validate()?;
        self.data.validate(self.model.max_position_embeddings)?;
        Ok(self)
    }
}

/// Fixtures of the tests of this module and of its parts.
#[cfg(test)]
pub(super) mod fixtures {
    use serde_json::json;

    use super::*;
    use crate::config::preset;

    pub fn small() -> RunConfig {
        RunConfig::from_preset("small", preset("small").unwrap())
    }

    pub fn given(model: Value, train: Value) -> GivenSettings {
        serde_json::from_value(json!({ "model": model, "train": train })).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fixtures::{given, small};

    #[test]
    fn sizes_follow_the_width_and_the_heads_unless_given() {
        let config =
            small().with(&given(json!({"hidden_size": 96, "num_attention_heads": 3}), json!({})));
        let model = config.unwrap().model;
        assert_eq!((model.intermediate_size, model.head_dim), (384, 32));
        assert_eq!(model.num_key_value_heads, 3);
        let swiglu = given(json!({"hidden_size": 96, "hidden_act": "swiglu"}), json!({}));
        assert_eq!(small().with(&swiglu).unwrap().model.intermediate_size, 256);
        let both = given(json!({"hidden_size": 96, "intermediate_size": 100}), json!({}));
        assert_eq!(small().with(&both).unwrap().model.intermediate_size, 100);
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_the_name_of_its_setting() {
        let refused = |train| small().with(&given(json!({}), train)).unwrap_err().to_string();
        let error = refused(json!({"lr": 0.1, "warmup_steps": -1}));
        assert!(error.starts_with("warmup_steps must be at least 0, not -1"), "{error}");
        let error = refused(json!({"optimizer": "sgd"}));
        assert!(error.contains(r#""sgd" is not one of adamw, muon"#), "{error}");
    }

    #[test]
    fn the_final_learning_rate_stays_in_proportion_unless_given() {
        let base = small();
        let ratio = base.train.schedule.min_lr / base.train.optimizer.lr;
        let config = base.with(&given(json!({}), json!({"lr": 0.02}))).unwrap();
        assert!((config.train.schedule.min_lr / 0.02 - ratio).abs() < 1e-12);
        let config = base.with(&given(json!({}), json!({"lr": 0.02, "min_lr": 0.001}))).unwrap();
        assert_eq!(config.train.schedule.min_lr, 0.001);
    }
}
