//! `config.json`.

use blankslate::checkpoint::{from_hf, to_hf};
use blankslate::config::{
    Estimate, ModelConfig, PositionEmbedding, RopeScaling, RopeType, TrainConfig,
};
use blankslate::error::Result;

use super::{Target, memory_limit, repository_file};

pub const TARGET: Target = Target { name: "config", seeds, check, memory_limit };

fn seeds() -> Vec<Vec<u8>> {
    let sized = |model: ModelConfig| {
        model.with_context(48).with_hidden_size(32).with_layers(2).with_heads(4)
    };
    let mut llama = sized(ModelConfig::llama(97)).with_kv_heads(2);
    llama.rope_scaling = Some(RopeScaling {
        rope_type: RopeType::Llama3,
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 16,
    });
    let mistral = ModelConfig { sliding_window: Some(4), ..sized(ModelConfig::llama(97)) };
    let own = ModelConfig { qk_norm: true, ..ModelConfig::default() };
    let mut files: Vec<_> =
        [ModelConfig::default(), llama, mistral, own].iter().map(to_hf).collect();
    files.push(
        br#"{"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}"#.to_vec(),
    );
    let golden = ["gpt2-tiny", "llama-tiny"];
    files.extend(golden.map(|name| repository_file(&format!("assets/golden/{name}/config.json"))));
    files
}

fn check(input: &[u8]) -> Result<()> {
    let config = from_hf(input)?;
    check_config(&config);
    Ok(())
}

/// Checks a configuration that was read from a file.
pub fn check_config(config: &ModelConfig) {
    config.validate().expect("a configuration that was read is valid");
    Estimate::new(config, &TrainConfig::default(), config.max_position_embeddings);
    let again = from_hf(&to_hf(config)).expect("a written configuration can be read");
    assert_eq!(effective(again), effective(config.clone()));
}

/// Returns the configuration with the defaults of settings that have no effect and are not written.
fn effective(config: ModelConfig) -> ModelConfig {
    let norm_bias = config.has_norm_bias();
    let mut config = ModelConfig { norm_bias, ..config };
    if config.position_embedding != PositionEmbedding::Rope {
        config.rope_theta = ModelConfig::default().rope_theta;
        config.rope_scaling = None;
    }
    config
}
