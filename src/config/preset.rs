//! Named starting points: page-sized models, GPT-2's four sizes, LLaMA-like ones from 60M to 7B.

use serde_json::{Map, Value};

use super::{
    CheckpointConfig, DataConfig, LongRunConfig, ModelConfig, MonitorConfig, OptimizerConfig,
    SampleConfig, ScheduleConfig, Setting, Settings, TrainConfig,
};
use crate::error::{Error, Result};

/// A named model with training settings that suit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Name on the command line and in the page.
    pub name: &'static str,
    /// One line of description.
    pub description: &'static str,
    /// Tokenizer specification (`char`, `bpe:50257`, …).
    pub tokenizer: &'static str,
    /// Architecture; `vocab_size` is a placeholder until a tokenizer is known.
    pub model: ModelConfig,
    /// Training settings.
    pub train: TrainConfig,
    /// Data settings.
    pub data: DataConfig,
}

/// Names of all presets, smallest first within each family.
pub const PRESETS: [&str; 12] = [
    "tiny",
    "small",
    "char",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "llama-60m",
    "llama-130m",
    "llama-350m",
    "llama-1b",
    "llama-7b",
];

/// Returns the preset of a name.
///
/// # Errors
/// An unknown name.
pub fn preset(name: &str) -> Result<Preset> {
    let index = PRESETS.iter().position(|known| *known == name).ok_or_else(|| {
        Error::config(
            "preset",
            format!("there is no preset `{name}`"),
            format!("use one of {}", PRESETS.join(", ")),
        )
    })?;
    let page = |batch_size, seq_len, steps, warmup_steps, lr| {
        let train = TrainConfig {
            batch_size,
            steps,
            optimizer: OptimizerConfig::with_lr(lr),
            schedule: ScheduleConfig { warmup_steps, decay_steps: steps / 5, ..Default::default() },
            ..Default::default()
        };
        (train, DataConfig { seq_len, ..Default::default() })
    };
    // Batch and learning rate as in GPT-2's and Chinchilla's reproductions: about half a million tokens per step through
    // gradient accumulation, which users adapt to their device's memory.
    let full = |lr, seq_len: usize, batch_size, steps| {
        let train = TrainConfig {
            steps,
            batch_size,
            grad_accum: (524_288 / (seq_len * batch_size)).max(1),
            optimizer: OptimizerConfig { lr, beta2: 0.95, ..Default::default() },
            schedule: ScheduleConfig { min_lr: lr / 10.0, warmup_steps: 700, ..Default::default() },
            eval_every: 250,
            checkpoints: CheckpointConfig { save_every: 1000, ..Default::default() },
            ..Default::default()
        };
        (train, DataConfig { seq_len, ..Default::default() })
    };
    let gpt2 = ModelConfig::gpt2(50_257).with_context(1024);
    let llama = ModelConfig::llama(32_000).with_context(2048);
    let sized = |model: ModelConfig, width, layers, heads| {
        model.with_hidden_size(width).with_layers(layers).with_heads(heads)
    };
    let (description, tokenizer, model, (train, data)) = match PRESETS[index] {
        "tiny" => (
            "2 layers, 64 wide: learns words in minutes",
            "char",
            // The context holds a short conversation, whose special tokens alone are 21 characters. At this size LLaMA's
            // parts, above all rotary positions, learn more in the same time than GPT-2's
            // (docs/measurements/learning.md).
            ModelConfig {
                tie_word_embeddings: true,
                ..sized(ModelConfig::llama(65).with_context(64), 64, 2, 4)
            },
            page(16, 64, 1000, 50, 5e-3),
        ),
        "small" => (
            "4 layers, 128 wide: nanoGPT's CPU size",
            "char",
            sized(ModelConfig::gpt2(65).with_context(64), 128, 4, 4),
            page(12, 64, 2000, 100, 1e-3),
        ),
        "char" => (
            "6 layers, 384 wide: nanoGPT's shakespeare_char",
            "char",
            ModelConfig {
                dropout: 0.2,
                ..sized(ModelConfig::gpt2(65).with_context(256), 384, 6, 6)
            },
            page(64, 256, 5000, 100, 1e-3),
        ),
        "gpt2" => {
            ("GPT-2 124M", "bpe:50257", sized(gpt2, 768, 12, 12), full(6e-4, 1024, 16, 19_073))
        }
        "gpt2-medium" => {
            ("GPT-2 350M", "bpe:50257", sized(gpt2, 1024, 24, 16), full(3e-4, 1024, 8, 19_073))
        }
        "gpt2-large" => {
            ("GPT-2 774M", "bpe:50257", sized(gpt2, 1280, 36, 20), full(2.5e-4, 1024, 4, 38_147))
        }
        "gpt2-xl" => {
            ("GPT-2 1.5B", "bpe:50257", sized(gpt2, 1600, 48, 25), full(2e-4, 1024, 2, 60_000))
        }
        "llama-60m" => (
            "LLaMA-like 60M",
            "bpe:32000",
            sized(llama, 512, 8, 8).with_intermediate_size(1376),
            full(1e-3, 1024, 32, 10_000),
        ),
        "llama-130m" => (
            "LLaMA-like 130M",
            "bpe:32000",
            sized(llama, 768, 12, 12).with_intermediate_size(2048),
            full(6e-4, 1024, 16, 20_000),
        ),
        "llama-350m" => (
            "LLaMA-like 350M",
            "bpe:32000",
            sized(llama, 1024, 24, 16).with_intermediate_size(2736),
            full(4e-4, 1024, 8, 60_000),
        ),
        "llama-1b" => (
            "LLaMA-like 1.3B",
            "bpe:32000",
            sized(llama, 2048, 24, 32).with_intermediate_size(5461),
            full(2e-4, 2048, 2, 100_000),
        ),
        _ => (
            "LLaMA-like 6.7B",
            "bpe:32000",
            sized(llama, 4096, 32, 32).with_intermediate_size(11_008),
            full(1.5e-4, 2048, 1, 150_000),
        ),
    };
    Ok(Preset { name: PRESETS[index], description, tokenizer, model, train, data })
}

/// Settings together with the values that they can start from.
pub trait Start: Settings {
    /// Returns the settings of every starting point.
    fn starting_points() -> Vec<Self> {
        vec![Self::default()]
    }
}

impl Start for SampleConfig {}

impl Start for MonitorConfig {}

impl Start for LongRunConfig {}

impl Start for ModelConfig {
    fn starting_points() -> Vec<Self> {
        presets().map(|preset| preset.model).collect()
    }
}

impl Start for TrainConfig {
    fn starting_points() -> Vec<Self> {
        presets().map(|preset| preset.train).chain([Self::fine_tuning()]).collect()
    }
}

impl Start for DataConfig {
    fn starting_points() -> Vec<Self> {
        presets().map(|preset| preset.data).collect()
    }
}

fn presets() -> impl Iterator<Item = Preset> {
    PRESETS.iter().map(|name| preset(name).expect("the list holds known names"))
}

/// Returns the default of a setting in words; `starting_points` are those of its struct, as JSON objects.
pub fn default_text(setting: &Setting, starting_points: &[Map<String, Value>]) -> String {
    if !setting.default_rule.is_empty() {
        return setting.default_rule.into();
    }
    let mut values = starting_points.iter().map(|settings| &settings[setting.key]);
    match values.next() {
        Some(first) if values.all(|value| value == first) => value_text(first),
        _ => "from the preset".into(),
    }
}

/// A setting's value as it is written on the command line.
fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "off".into(),
        Value::String(text) => text.clone(),
        Value::Array(names) if names.is_empty() => "none".into(),
        Value::Array(names) => names.iter().map(value_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
