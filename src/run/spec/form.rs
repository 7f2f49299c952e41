//! The page's form: what it suggests beyond the rules of [`RunConfig::with`].
//!
//! Suggestions are settings of a layer below the given ones: on the command line, the same settings given as flags make
//! the same run.

use serde_json::{Map, Value};

use super::{GivenSettings, RunConfig};
use crate::config::{
    DataConfig, DataKind, ModelConfig, MonitorConfig, ObjectiveConfig, Preset, Setting, Settings,
    TrainConfig,
};
use crate::error::Result;

/// Earlier checkpoints that a run of the page keeps: Look inside plays them back.
const KEPT: usize = 10;
/// Values that differ by less, relatively, are the same: a link has fewer digits than a product.
const SAME: f64 = 1e-9;

/// Access to the settings of one group.
type Section = fn(&mut GivenSettings) -> &mut Map<String, Value>;

impl RunConfig {
    /// Returns the base of the page's form for a preset: ten checkpoints and ten samples over the run, and the context of
    /// [`RunConfig::fresh`].
    pub fn form_base(preset: Preset) -> Self {
        let mut config = Self::from_preset(preset.name, preset);
        config.model.max_position_embeddings = config.data.seq_len;
        config.train.checkpoints.keep_spread = KEPT;
        config.train.checkpoints.save_every = tenth(config.train.steps);
        config.sample_every = tenth(config.train.steps);
        config
    }

    /// Lays `given` over these settings, and below it what the page suggests because of it.
    ///
    /// # Errors
    /// A value of the wrong type.
    pub fn of_form(&self, given: &GivenSettings) -> Result<Self> {
        self.with_all(&[self.suggested_beside(given), given.clone()])
    }

    /// Returns the settings that the page suggests for a run with `given` over these settings:
    ///
    /// - Other steps: warm-up takes at most a fifth of them and the final decay at most all; saves and samples stay ten
    ///   per run.
    /// - Another window: the context stays equal to it, or is extended to it.
    /// - A context shorter than the window: the window is shortened to it.
    fn suggested_beside(&self, given: &GivenSettings) -> GivenSettings {
        let mut suggested = GivenSettings::default();
        if let Some(steps) = given.train.get("steps").and_then(Value::as_u64) {
            let Self { train, .. } = self;
            let mut suggest = |key: &str, value: u64| {
                suggested.train.insert(key.into(), value.into());
            };
            suggest("warmup_steps", train.schedule.warmup_steps.min(steps / 5));
            suggest("decay_steps", train.schedule.decay_steps.min(steps));
            if train.checkpoints.save_every == tenth(train.steps) {
                suggest("save_every", tenth(steps));
            }
            if self.sample_every == tenth(train.steps) {
                suggested.sample_every = Some(tenth(steps));
            }
        }
        let window = given.data.get("seq_len").and_then(Value::as_u64);
        let context = given.model.get("max_position_embeddings").and_then(Value::as_u64);
        let own_context = self.model.max_position_embeddings as u64;
        let own_window = self.data.seq_len as u64;
        match (window, context) {
            (Some(window), None) if own_context == own_window || window > own_context => {
                suggested.model.insert("max_position_embeddings".into(), window.into());
            }
            (None, Some(context)) if context < own_window => {
                suggested.data.insert("seq_len".into(), context.into());
            }
            _ => {}
        }
        suggested
    }

    /// Returns the value that each setting of `given`, laid over these settings, would have if it were not given, by key.
    ///
    /// # Errors
    /// A value of the wrong type.
    pub fn form_defaults(&self, given: &GivenSettings) -> Result<Map<String, Value>> {
        let mut defaults = Map::new();
        let mut note = |key: &str, rest: GivenSettings| -> Result<()> {
            let value = self.of_form(&rest)?.all_settings().remove(key);
            defaults.insert(key.into(), value.unwrap_or_default());
            Ok(())
        };
        let sections: [Section; 3] =
            [|given| &mut given.model, |given| &mut given.train, |given| &mut given.data];
        for section in sections {
            for key in section(&mut given.clone()).keys() {
                let mut rest = given.clone();
                section(&mut rest).remove(key);
                note(key, rest)?;
            }
        }
        if given.sample_every.is_some() {
            note("sample_every", GivenSettings { sample_every: None, ..given.clone() })?;
        }
        Ok(defaults)
    }

    /// Returns the keys of the settings for experts that differ from what `preset` and the basic settings of this
    /// configuration imply.
    ///
    /// # Errors
    /// A value of the wrong type.
    pub fn unusual_settings(&self, preset: &Self) -> Result<Vec<&'static str>> {
        let basic = GivenSettings {
            model: changed_basics(&self.model, &preset.model),
            train: changed_basics(&self.train, &preset.train),
            data: changed_basics(&self.data, &preset.data),
            ..GivenSettings::default()
        };
        let usual = preset.of_form(&basic)?.all_settings();
        let own = self.all_settings();
        let differs = |setting: &&Setting| !same(&own[setting.key], &usual[setting.key]);
        let all = ModelConfig::settings()
            .chain(TrainConfig::settings())
            .chain(DataConfig::settings())
            .chain(MonitorConfig::settings());
        let unusual = all.filter(|setting| !setting.basic).filter(differs);
        Ok(unusual.map(|setting| setting.key).collect())
    }

    /// Returns the settings of a fresh run on data of `kind`, with a vocabulary of `vocab_size` tokens: without adapters,
    /// which need trained weights, without the special tokens of another tokenizer and without settings of other kinds.
    pub fn for_fresh_run(mut self, kind: DataKind, vocab_size: usize) -> Self {
        self.model =
            ModelConfig { vocab_size, bos_token_id: None, eos_token_id: None.into(), ..self.model };
        self.train.lora.rank = 0;
        self.train.lora.embeddings = false;
        self.data.kind = kind;
        if kind != DataKind::Preferences {
            self.train.objective.dpo_beta = ObjectiveConfig::default().dpo_beta;
        }
        self
    }

    /// All settings by key.
    fn all_settings(&self) -> Map<String, Value> {
        let mut all = self.model.to_map();
        all.extend(self.train.to_map());
        all.extend(self.data.to_map());
        all.insert("sample_every".into(), self.sample_every.into());
        all
    }
}

/// A tenth of the steps, at least one.
fn tenth(steps: u64) -> u64 {
    (steps.saturating_add(5) / 10).max(1)
}

/// Basic settings of `own` that differ from those of `preset`.
fn changed_basics<T: Settings>(own: &T, preset: &T) -> Map<String, Value> {
    let mut values = own.to_map();
    let usual = preset.to_map();
    let changed = T::settings().filter(|setting| setting.basic);
    let changed = changed.filter(|setting| !same(&values[setting.key], &usual[setting.key]));
    let keys: Vec<&str> = changed.map(|setting| setting.key).collect();
    keys.into_iter().map(|key| (key.into(), values.remove(key).unwrap_or_default())).collect()
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= SAME * a.abs().max(b.abs()),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{PRESETS, preset};

    fn base(name: &str) -> RunConfig {
        RunConfig::form_base(preset(name).unwrap())
    }

    fn given(value: Value) -> GivenSettings {
        serde_json::from_value(value).unwrap()
    }

    /// The forms of the tests: nothing given, leaders, followers, and both.
    fn forms() -> Vec<GivenSettings> {
        [
            json!({}),
            json!({"model": {"hidden_size": 96, "num_attention_heads": 3}, "train": {"lr": 0.003}}),
            json!({"model": {"hidden_size": 96, "intermediate_size": 100, "num_attention_heads": 4}}),
            json!({"model": {"hidden_act": "gelu"}, "train": {"lr": 0.002, "min_lr": 0.001}}),
            json!({"train": {"steps": 60}, "data": {"seq_len": 32}, "tokenizer": "byte"}),
            json!({"train": {"steps": 60, "warmup_steps": 40, "save_every": 7}, "sample_every": 9}),
            json!({"model": {"max_position_embeddings": 16}}),
            json!({"model": {"max_position_embeddings": 4096}, "data": {"seq_len": 8}}),
        ]
        .map(given)
        .into()
    }

    #[test]
    fn page_and_terminal_make_the_same_run_of_the_same_settings() {
        for name in PRESETS {
            let base = base(name);
            // What the page suggests, given by flags.
            let checkpoints = &base.train.checkpoints;
            let always = given(json!({
                "train": {
                    "keep_spread": checkpoints.keep_spread,
                    "save_every": checkpoints.save_every,
                },
                "sample_every": base.sample_every,
            }));
            for form in forms() {
                let page = base.of_form(&form).unwrap();
                let flags = [always.clone(), base.suggested_beside(&form), form.clone()];
                let preset = RunConfig::from_preset(name, preset(name).unwrap());
                let terminal = RunConfig::fresh(preset, &flags).unwrap();
                assert_eq!(page, terminal, "{name}, {form:?}");
            }
        }
    }

    #[test]
    fn a_base_stays_as_it_is_until_something_is_given() {
        let mut linked = base("tiny");
        linked.model.intermediate_size = 99;
        linked.model.max_position_embeddings = 256;
        linked.train.schedule.warmup_steps = linked.train.steps;
        linked.train.schedule.min_lr = 0.5;
        assert_eq!(linked.of_form(&GivenSettings::default()).unwrap(), linked);
        let layers = given(json!({"model": {"num_hidden_layers": 3}, "data": {"seq_len": 128}}));
        let changed = linked.of_form(&layers).unwrap();
        assert_eq!(changed.model, ModelConfig { num_hidden_layers: 3, ..linked.model });
    }

    #[test]
    fn fewer_steps_shorten_warm_up_and_decay_and_what_happens_ten_times_per_run() {
        let base = base("small");
        assert_eq!((base.train.checkpoints.save_every, base.sample_every), (200, 200));
        let short = base.of_form(&given(json!({"train": {"steps": 60}}))).unwrap();
        let schedule = short.train.schedule;
        assert_eq!((schedule.warmup_steps, schedule.decay_steps), (12, 60));
        assert_eq!((short.train.checkpoints.save_every, short.sample_every), (6, 6));
        let own = given(json!({"train": {"steps": 60, "warmup_steps": 30}, "sample_every": 7}));
        let own = base.of_form(&own).unwrap();
        assert_eq!((own.train.schedule.warmup_steps, own.sample_every), (30, 7));
        // An interval that was chosen by hand in the base.
        let chosen = RunConfig { sample_every: 7, ..base };
        let longer = chosen.of_form(&given(json!({"train": {"steps": 4000}}))).unwrap();
        assert_eq!((longer.sample_every, longer.train.checkpoints.save_every), (7, 400));
    }

    #[test]
    fn window_and_context_stay_together() {
        let of = |value| {
            let config = base("small").of_form(&given(value)).unwrap();
            (config.data.seq_len, config.model.max_position_embeddings)
        };
        assert_eq!(of(json!({"data": {"seq_len": 256}})), (256, 256));
        assert_eq!(of(json!({"data": {"seq_len": 16}})), (16, 16));
        assert_eq!(of(json!({"model": {"max_position_embeddings": 32}})), (32, 32));
        assert_eq!(of(json!({"model": {"max_position_embeddings": 512}})), (64, 512));
    }

    #[test]
    fn each_given_setting_has_the_value_it_would_have_otherwise() {
        let form = given(json!({
            "model": {"hidden_size": 96, "intermediate_size": 100},
            "train": {"steps": 60},
            "sample_every": 9,
        }));
        let defaults = base("small").form_defaults(&form).unwrap();
        let expected =
            json!({"hidden_size": 128, "intermediate_size": 384, "steps": 2000, "sample_every": 6});
        assert_eq!(Value::Object(defaults), expected);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        let wrong = given(json!({"train": {"steps": -1}}));
        assert!(base("small").of_form(&wrong).is_err());
        assert!(base("small").form_defaults(&wrong).is_ok(), "it is left out");
    }

    #[test]
    fn unusual_are_settings_that_follow_from_no_basic_one() {
        let small = base("small");
        let unusual = |value| {
            let config = small.of_form(&given(value)).unwrap();
            config.unusual_settings(&small).unwrap()
        };
        let none: [&str; 0] = [];
        assert_eq!(unusual(json!({})), none);
        let basics = json!({"model": {"hidden_size": 96}, "train": {"steps": 60, "lr": 0.003}});
        assert_eq!(unusual(basics), none);
        assert_eq!(unusual(json!({"train": {"beta2": 0.95, "steps": 60}})), ["beta2"]);
        // The final learning rate of a link, with fewer digits.
        let mut linked = small.of_form(&given(json!({"train": {"lr": 0.003}}))).unwrap();
        linked.train.schedule.min_lr = 3e-4;
        assert_eq!(linked.unusual_settings(&small).unwrap(), none);
    }

    #[test]
    fn a_fresh_run_has_no_settings_of_adapters_or_of_other_kinds() {
        let mut config = base("small");
        config.train.lora.rank = 8;
        config.train.lora.embeddings = true;
        config.train.objective.dpo_beta = 0.5;
        config.model.eos_token_id = Some(3).into();
        let fresh = config.clone().for_fresh_run(DataKind::Text, 5);
        assert_eq!(
            fresh,
            RunConfig {
                model: ModelConfig { vocab_size: 5, ..base("small").model },
                ..base("small")
            }
        );
        fresh.validate_fresh().unwrap();
        let pairs = config.for_fresh_run(DataKind::Preferences, 5);
        assert_eq!((pairs.train.objective.dpo_beta, pairs.data.kind), (0.5, DataKind::Preferences));
    }
}
