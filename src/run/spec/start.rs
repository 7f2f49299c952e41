//! Settings of a run that starts: from nothing, from a trained model, or from its own checkpoint.

use super::{GivenSettings, RunConfig};
use crate::config::{DataKind, ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::run::directory::valid_name;
use crate::tokenizer::TrainOptions;

impl RunConfig {
    /// Returns the settings of a fresh run: `layers` over `base`, later ones over earlier ones.
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
        if !layers.iter().any(|given| given.model.contains_key("head_dim")) {
            heads_divide_the_width(&config.model)?;
        }
        config.validated()
    }

    /// Returns the settings of a run that fine-tunes the model of `base`: `layers` over `base`, later ones over earlier ones.
    /// If they turn adapters on, the learning rate of `base` is raised to that of adapters.
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

    /// Returns the settings of a run that resumes from these: `given` over them.
    ///
    /// # Errors
    /// Settings that contradict each other; another architecture, other adapters or another optimizer; fewer steps than were
    /// done.
    pub fn resumed(&self, given: &GivenSettings, steps_done: u64) -> Result<Self> {
        self.resumed_as(self.with(given)?, steps_done)
    }

    /// As [`Self::resumed`], with the same `layers` of settings that a run is started with, later ones over earlier ones. Sizes
    /// follow from each layer, as at the start.
    ///
    /// # Errors
    /// As [`Self::resumed`].
    pub fn resumed_as_started(&self, layers: &[GivenSettings], steps_done: u64) -> Result<Self> {
        let mut given = GivenSettings::default();
        for layer in layers {
            given.train.extend(layer.train.clone());
            given.data.extend(layer.data.clone());
            given.sample_every = layer.sample_every.or(given.sample_every);
        }
        let config = Self { model: self.with_all(layers)?.model, ..self.with(&given)? };
        self.resumed_as(config, steps_done)
    }

    fn resumed_as(&self, config: Self, steps_done: u64) -> Result<Self> {
        let remedy = "leave the architecture's settings out, or start a new run with another --out";
        same_architecture("resume", self, &config, remedy)?;
        same_adapters(&self.train, &config.train)?;
        same_optimizer(&self.train, &config.train)?;
        if config.train.steps < steps_done {
            let problem = format!("the run has done {steps_done} steps already");
            return Err(Error::config("steps", problem, "give a larger number"));
        }
        config.validated()
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
        let model = ModelConfig { vocab_size, ..self.model.clone() };
        heads_divide_the_width(&model)?;
        model.validate()?;
        self.train.validate()?;
        self.train.objective.suits(self.data.kind)?;
        no_fresh_adapters(&self.train)?;
        no_fresh_preferences(self.data.kind)?;
        self.data.validate(self.model.max_position_embeddings)
    }
}

/// Refuses to train a fresh model on preference pairs: it has no answers to compare.
///
/// # Errors
/// `kind` is preference pairs.
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

/// Refuses heads that do not divide the width, if the width of a head follows from both: a part of the width would have no
/// head. A head width of its own may be any.
fn heads_divide_the_width(model: &ModelConfig) -> Result<()> {
    let ModelConfig { hidden_size: width, num_attention_heads: heads, .. } = *model;
    let out_of_range = heads == 0 || width == 0;
    if out_of_range || width.is_multiple_of(heads) || model.head_dim != model.default_head_dim() {
        return Ok(());
    }
    let divides = |n: &usize| width.is_multiple_of(*n);
    let fewer = (1..=heads.min(width)).rev().find(divides).unwrap_or(1);
    let more = (heads..=width.min(heads.saturating_mul(2))).find(divides);
    let nearest = more.filter(|more| more - heads <= heads - fewer).unwrap_or(fewer);
    Err(Error::config(
        "num_attention_heads",
        format!("{heads} does not divide the width {width}"),
        format!("{nearest} does"),
    ))
}

fn no_fresh_adapters(train: &TrainConfig) -> Result<()> {
    if train.adapts() {
        let problem = "adapters need trained weights to start from";
        return Err(Error::config("lora_rank", problem, "fine-tune a model with them"));
    }
    Ok(())
}

/// Refuses another architecture than that of `saved`. Dropout is the one architectural setting that fits any weights.
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

/// The state of one optimizer is of no use to another.
fn same_optimizer(saved: &TrainConfig, now: &TrainConfig) -> Result<()> {
    if saved.optimizer.kind != now.optimizer.kind {
        let problem = "the optimizer of a run cannot be changed when it is resumed";
        let remedy = "leave it out, or fine-tune the model in a new run";
        return Err(Error::config("optimizer", problem, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::spec::fixtures::{given, small};

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
    fn heads_that_do_not_divide_the_width_are_refused_with_a_number_that_does() {
        let refused = |width: usize, heads: usize| {
            let model =
                given(json!({"hidden_size": width, "num_attention_heads": heads}), json!({}));
            let form = small().with(&model).unwrap().validate_fresh().unwrap_err().to_string();
            assert_eq!(RunConfig::fresh(small(), &[model]).unwrap_err().to_string(), form);
            form
        };
        assert_eq!(refused(128, 7), "num_attention_heads: 7 does not divide the width 128; 8 does");
        assert!(refused(64, 100).ends_with("64 does"));
        assert!(refused(97, 3).ends_with("1 does"));
        let own =
            given(json!({"hidden_size": 128, "num_attention_heads": 7, "head_dim": 16}), json!({}));
        assert!(RunConfig::fresh(small(), &[own]).is_ok());
    }

    #[test]
    fn weights_and_adapters_of_a_resumed_run_keep_their_shape() {
        let refused =
            |model, train| small().resumed(&given(model, train), 5).unwrap_err().to_string();
        assert!(refused(json!({"hidden_size": 8}), json!({})).contains("cannot be changed"));
        assert!(refused(json!({}), json!({"lora_rank": 4})).contains("lora_rank"));
        assert!(refused(json!({}), json!({"optimizer": "muon"})).starts_with("optimizer: "));
        assert!(small().resumed(&given(json!({}), json!({"optimizer": "adamw"})), 5).is_ok());
        assert!(refused(json!({}), json!({"steps": 4})).contains("steps: the run has done 5"));
        let dropout = given(json!({"dropout": 0.2}), json!({"steps": 9}));
        assert_eq!(small().resumed(&dropout, 5).unwrap().model.dropout, 0.2);
    }
}
