//! The configuration of a run: all settings that define it, and the rules that derive one setting from another.
//!
//! Settings that are given by key (in a settings file, by flags, in the page's form) are laid over a base: a preset,
//! or the configuration of the run that is fine-tuned or resumed. Every edge resolves its settings here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::directory::valid_name;
use crate::checkpoint::TrainingState;
use crate::config::{
    DataConfig, DataKind, ModelConfig, ObjectiveConfig, OptimizerKind, Preset, TrainConfig, label,
    overridden, without_pairs,
};
use crate::error::{Error, Result};
use crate::tokenizer::TrainOptions;

/// Steps of fine-tuning, unless given.
const FINE_TUNING_STEPS: u64 = 200;
/// Tokens per window of conversations and preference pairs, unless given: they are learned whole where they fit.
const CHAT_WINDOW: usize = 256;

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
    /// How data becomes batches.
    pub data: DataConfig,
    /// Steps between two live samples; 0 turns them off.
    pub sample_every: u64,
}

/// Settings given explicitly, by key. A setting that is absent keeps its value, or follows those it derives from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GivenSettings {
    /// Keys of [`ModelConfig`].
    pub model: Map<String, Value>,
    /// Keys of [`TrainConfig`].
    pub train: Map<String, Value>,
    /// Keys of [`DataConfig`].
    pub data: Map<String, Value>,
    /// [`RunConfig::tokenizer`].
    pub tokenizer: Option<String>,
    /// [`RunConfig::sample_every`].
    pub sample_every: Option<u64>,
}

impl RunConfig {
    /// The settings of a preset, under the name `name`.
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

    /// The settings of the run that a checkpoint belongs to.
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
        let mut train: TrainConfig = overridden(&self.train, &given.train)?;
        let (lr, before) = (train.optimizer.lr, self.train.optimizer.lr);
        if !given.train.contains_key("min_lr") && lr != before && before > 0.0 {
            train.schedule.min_lr = lr * (self.train.schedule.min_lr / before);
        }
        Ok(Self {
            name: self.name.clone(),
            model: with_derived_sizes(overridden(&self.model, &given.model)?, &given.model),
            train,
            data: overridden(&self.data, &given.data)?,
            tokenizer: given.tokenizer.clone().unwrap_or_else(|| self.tokenizer.clone()),
            sample_every: given.sample_every.unwrap_or(self.sample_every),
        })
    }

    /// Settings of a fresh run: `layers` over `base`, later ones over earlier ones.
    ///
    /// # Errors
    /// Settings that contradict each other; adapters, which need trained weights.
    pub fn fresh(base: Self, layers: &[GivenSettings]) -> Result<Self> {
        let mut config = base.with_all(layers)?;
        if !layers.iter().any(|given| given.model.contains_key("max_position_embeddings")) {
            // Positions beyond the window would never be trained.
            config.model.max_position_embeddings = config.data.seq_len.max(1);
        }
        no_fresh_adapters(&config.train)?;
        config.validated()
    }

    /// Settings of a run that fine-tunes the model of `base`: `layers` over `base`, later ones over earlier ones.
    /// Where they turn adapters on, the learning rate of `base` is raised to that of adapters.
    ///
    /// # Errors
    /// Settings that contradict each other; another architecture than that of `base`.
    pub fn fine_tuned(base: Self, layers: &[GivenSettings]) -> Result<Self> {
        let mut config = base.with_all(layers)?;
        if config.train.adapts() {
            let train = base.train.clone().for_adapters();
            config = Self { train, ..base.clone() }.with_all(layers)?;
            config.train.lora.adapted(&config.model)?;
        }
        same_architecture("from", &base, &config, "leave the architecture's settings out")?;
        config.validated()
    }

    /// Settings of a run that resumes from these: `given` over them.
    ///
    /// # Errors
    /// Settings that contradict each other; another architecture, or other adapters; fewer steps than were done.
    pub fn resumed(&self, given: &GivenSettings, steps_done: u64) -> Result<Self> {
        let config = self.with(given)?;
        let remedy = "leave the architecture's settings out, or start a new run with another --out";
        same_architecture("resume", self, &config, remedy)?;
        same_adapters(&self.train, &config.train)?;
        if config.train.steps < steps_done {
            let problem = format!("the run has done {steps_done} steps already");
            return Err(Error::config("steps", problem, "give a larger number"));
        }
        config.validated()
    }

    /// The suggested settings for fine-tuning the model of the run that these settings define on data of `kind`, with
    /// adapters of `rank` or, for 0, without. `chats` says whether that model was trained on conversations.
    pub fn suggested_for_tuning(&self, kind: DataKind, rank: usize, chats: bool) -> Self {
        let tuned_before = self.data.kind != DataKind::Text && !self.train.adapts();
        let every = FINE_TUNING_STEPS / 10;
        let mut config = self.clone();
        let mut train = self.train.clone();
        if !tuned_before {
            train = train.for_fine_tuning();
        }
        if rank > 0 {
            train = train.for_adapters();
        }
        train.steps = FINE_TUNING_STEPS;
        train.eval_every = every;
        train.checkpoints.save_every = every;
        train.schedule.warmup_steps = every;
        train.schedule.decay_steps = every;
        train.lora.rank = rank;
        train.lora.embeddings = rank > 0 && kind.has_turns() && !chats;
        if rank > 0 {
            train.optimizer.kind = OptimizerKind::Adamw;
        }
        if kind != DataKind::Preferences {
            train.objective.dpo_beta = ObjectiveConfig::default().dpo_beta;
        }
        if kind.has_turns() {
            config.data.seq_len = self.model.max_position_embeddings.min(CHAT_WINDOW);
        }
        config.train = train;
        config.data.kind = kind;
        config.sample_every = every;
        config
    }

    /// These settings for data of the kind `found`. A fresh or fine-tuned run takes the kind that is there; one that is set
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

    /// Why no fresh run can be trained with these settings, in one line with the labels of the settings; none if one can.
    pub fn problem_of_fresh(&self) -> Option<String> {
        self.validate_fresh().err().map(|error| error.message(label))
    }

    /// Checks the settings of a fresh run.
    ///
    /// # Errors
    /// The first setting that is out of range or contradicts another.
    pub fn validate_fresh(&self) -> Result<()> {
        valid_name(&self.name)?;
        TrainOptions::from_spec(&self.tokenizer)?;
        // The vocabulary is the tokenizer's, which is trained later.
        let vocab_size = self.model.vocab_size.max(1);
        ModelConfig { vocab_size, ..self.model.clone() }.validate()?;
        self.train.validate()?;
        self.train.objective.suits(self.data.kind)?;
        no_fresh_adapters(&self.train)?;
        no_fresh_preferences(self.data.kind)?;
        self.data.validate(self.model.max_position_embeddings)
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

/// `Err` where preference pairs are to train a fresh model, which has no answers to compare.
pub fn no_fresh_preferences(kind: DataKind) -> Result<()> {
    match kind {
        DataKind::Text | DataKind::Conversations => Ok(()),
        DataKind::Preferences => {
            let problem = "preference pairs need a trained model to start from";
            Err(Error::config(
                "data",
                problem,
                "fine-tune a model that was trained on conversations",
            ))
        }
    }
}

fn no_fresh_adapters(train: &TrainConfig) -> Result<()> {
    if train.adapts() {
        let problem = "adapters need trained weights to start from";
        return Err(Error::config("lora_rank", problem, "fine-tune a model with them"));
    }
    Ok(())
}

/// `Err` unless `now` has the architecture of `saved`. Dropout is the one architectural setting that fits any weights.
fn same_architecture(key: &str, saved: &RunConfig, now: &RunConfig, remedy: &str) -> Result<()> {
    let same = ModelConfig { dropout: saved.model.dropout, ..now.model.clone() } == saved.model;
    if !same {
        let problem = "the architecture of saved weights cannot be changed";
        return Err(Error::config(key, problem, remedy));
    }
    Ok(())
}

fn same_adapters(saved: &TrainConfig, now: &TrainConfig) -> Result<()> {
    if saved.lora != now.lora {
        let problem = "the adapters of a run cannot be changed when it is resumed";
        let remedy = "leave the lora settings out, or fine-tune anew";
        return Err(Error::config("lora_rank", problem, remedy));
    }
    Ok(())
}

/// Sizes that follow from others unless they are given.
fn with_derived_sizes(mut model: ModelConfig, given: &Map<String, Value>) -> ModelConfig {
    let has = |key| given.contains_key(key);
    if has("num_attention_heads") && !has("num_key_value_heads") {
        model.num_key_value_heads = model.num_attention_heads;
    }
    if (has("hidden_size") || has("num_attention_heads")) && !has("head_dim") {
        model.head_dim = model.default_head_dim();
    }
    if (has("hidden_size") || has("hidden_act")) && !has("intermediate_size") {
        model.intermediate_size = model.default_intermediate_size();
    }
    model
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::preset;

    fn small() -> RunConfig {
        RunConfig::from_preset("small", preset("small").unwrap())
    }

    fn given(model: Value, train: Value) -> GivenSettings {
        serde_json::from_value(json!({ "model": model, "train": train })).unwrap()
    }

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
    fn the_final_learning_rate_stays_in_proportion_unless_given() {
        let base = small();
        let ratio = base.train.schedule.min_lr / base.train.optimizer.lr;
        let config = base.with(&given(json!({}), json!({"lr": 0.02}))).unwrap();
        assert!((config.train.schedule.min_lr / 0.02 - ratio).abs() < 1e-12);
        let config = base.with(&given(json!({}), json!({"lr": 0.02, "min_lr": 0.001}))).unwrap();
        assert_eq!(config.train.schedule.min_lr, 0.001);
    }

    #[test]
    fn a_fresh_context_equals_the_window_unless_given() {
        let window = serde_json::from_value(json!({"data": {"seq_len": 24}})).unwrap();
        assert_eq!(RunConfig::fresh(small(), &[window]).unwrap().model.max_position_embeddings, 24);
        let context = given(json!({"max_position_embeddings": 80}), json!({}));
        assert_eq!(
            RunConfig::fresh(small(), &[context]).unwrap().model.max_position_embeddings,
            80
        );
        let adapters = given(json!({}), json!({"lora_rank": 4}));
        assert!(
            RunConfig::fresh(small(), &[adapters]).unwrap_err().to_string().contains("lora_rank")
        );
    }

    #[test]
    fn fine_tuning_learns_a_tenth_as_fast_and_adapters_ten_times_that() {
        let base = RunConfig { train: TrainConfig::fine_tuning(), ..small() };
        assert_eq!((base.train.optimizer.lr, base.train.schedule.min_lr), (1e-4, 1e-5));
        let adapters = given(json!({}), json!({"lora_rank": 4}));
        let config = RunConfig::fine_tuned(base, &[adapters]).unwrap();
        assert_eq!((config.train.optimizer.lr, config.train.schedule.min_lr), (1e-3, 1e-4));

        let rate = |base: &RunConfig, kind, rank| {
            base.suggested_for_tuning(kind, rank, false).train.optimizer.lr
        };
        let lr = small().train.optimizer.lr;
        assert_eq!(rate(&small(), DataKind::Text, 0), small().train.for_fine_tuning().optimizer.lr);
        assert_eq!(rate(&small(), DataKind::Text, 8), lr);
        // A model that was tuned already has the rate of tuning, unless that was the rate of adapters.
        let tuned = small().suggested_for_tuning(DataKind::Conversations, 0, false);
        assert_eq!(rate(&tuned, DataKind::Preferences, 0), tuned.train.optimizer.lr);
        let adapted = small().suggested_for_tuning(DataKind::Conversations, 8, false);
        assert!(adapted.train.lora.embeddings);
        assert_eq!(rate(&adapted, DataKind::Preferences, 8), adapted.train.optimizer.lr);
    }

    #[test]
    fn weights_and_adapters_of_a_resumed_run_keep_their_shape() {
        let refused =
            |model, train| small().resumed(&given(model, train), 5).unwrap_err().to_string();
        assert!(refused(json!({"hidden_size": 8}), json!({})).contains("cannot be changed"));
        assert!(refused(json!({}), json!({"lora_rank": 4})).contains("lora_rank"));
        assert!(refused(json!({}), json!({"steps": 4})).contains("steps: the run has done 5"));
        let dropout = given(json!({"dropout": 0.2}), json!({"steps": 9}));
        assert_eq!(small().resumed(&dropout, 5).unwrap().model.dropout, 0.2);
    }
}
