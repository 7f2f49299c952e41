//! Settings that come from outside: of a shared link, and of a settings file or the page's form.

use blankslate::config::{DataKind, Estimate, ModelConfig, PRESETS, preset};
use blankslate::error::{Error, Result};
use blankslate::run::{GivenSettings, RunConfig};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Target, memory_limit};

/// The configuration in a shared link, as the page passes it on after unpacking.
pub const LINK: Target =
    Target { name: "link", seeds: link_seeds, check: check_link, memory_limit };
/// Settings by key, over a preset.
pub const SETTINGS: Target =
    Target { name: "settings", seeds: settings_seeds, check: check_settings, memory_limit };

fn base(name: &str) -> RunConfig {
    RunConfig::form_base(preset(name).expect("a preset of the list"))
}

fn link_seeds() -> Vec<Vec<u8>> {
    let configs = PRESETS.iter().take(2).map(|name| base(name));
    configs.map(|config| json!(config).to_string().into_bytes()).collect()
}

fn settings_seeds() -> Vec<Vec<u8>> {
    let given = [
        json!({}),
        json!({"model": {"hidden_size": 96, "num_attention_heads": 3}, "train": {"lr": 0.003}}),
        json!({"model": {"hidden_act": "swiglu", "max_position_embeddings": 16}}),
        json!({"train": {"steps": 60, "warmup_steps": 40, "save_every": 7}, "sample_every": 9}),
        json!({"train": {"lora_rank": 4, "lora_targets": ["all"]}, "data": {"seq_len": 32}}),
        json!({"train": {"optimizer": "muon", "precision": "bf16"}, "tokenizer": "bpe:300"}),
        json!({"data": {"order": "sequential", "val_fraction": 0.2}}),
    ];
    given.map(|given| given.to_string().into_bytes()).into()
}

fn read<T: DeserializeOwned>(input: &[u8]) -> Result<T> {
    serde_json::from_slice(input)
        .map_err(|error| Error::malformed("the settings", error.to_string(), "correct them"))
}

fn check_link(input: &[u8]) -> Result<()> {
    let config: RunConfig = read(input)?;
    let json = json!(config).to_string();
    assert_eq!(read::<RunConfig>(json.as_bytes()).expect("a link that was made opens"), config);
    check_form(&config, &GivenSettings::default())
}

fn check_settings(input: &[u8]) -> Result<()> {
    let given: GivenSettings = read(input)?;
    let base = base(PRESETS[0]);
    check_form(&base, &given)?;
    // The same settings in the terminal.
    let given = std::slice::from_ref(&given);
    if let Ok(config) = RunConfig::fresh(base.clone(), given) {
        Estimate::of_run(&config.model, &config.train, &config.data);
    }
    if let Ok(config) = RunConfig::fine_tuned(base.clone(), given) {
        let dropout = config.model.dropout;
        assert_eq!(config.model, ModelConfig { dropout, ..base.model });
    }
    Ok(())
}

/// Does what the page's form does with settings that may be absurd.
fn check_form(base: &RunConfig, given: &GivenSettings) -> Result<()> {
    let config = base.of_form(given)?;
    base.form_defaults(given)?;
    config.unusual_settings(&self::base(PRESETS[0]))?;
    for kind in [DataKind::Text, DataKind::Conversations, DataKind::Preferences] {
        let fresh = config.clone().for_fresh_run(kind, 300);
        Estimate::of_run(&fresh.model, &fresh.train, &fresh.data);
        if let Err(problem) = fresh.validate_fresh() {
            assert!(!problem.to_string().trim().is_empty());
        }
        config.tuning_form(kind, false, given)?;
    }
    Ok(())
}
