//! Named starting points: page-sized models, GPT-2's four sizes, LLaMA-like ones from 60M to 7B.

use super::{
    CheckpointConfig, DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig,
};
use crate::error::{Error, Result};

/// A named model with training settings that suit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The name on the command line and in the page.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// The tokenizer it expects, in the command line's words (`char`, `bpe:50257`, …).
    pub tokenizer: &'static str,
    /// The architecture; `vocab_size` is a placeholder until a tokenizer is known.
    pub model: ModelConfig,
    /// Optimizer and schedule.
    pub train: TrainConfig,
    /// Windows.
    pub data: DataConfig,
}

/// The names [`preset`] knows, smallest first within each family.
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

/// Looks a preset up by name.
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
    // Batch and learning rate as in the GPT-2 and Chinchilla-style reproductions: about half a million
    // tokens per step through accumulation, which the user adapts to the device's memory.
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
    let gpt2 = |width, layers, heads| ModelConfig::gpt2(50_257, 1024, width, layers, heads);
    let llama = |width, layers, heads, intermediate| {
        ModelConfig::llama(32_000, 2048, width, layers, heads, heads, intermediate)
    };
    let (description, tokenizer, model, (train, data)) = match PRESETS[index] {
        "tiny" => (
            "2 layers, 64 wide: words within a minute",
            "char",
            // Room for a short conversation, whose marks alone are 21 characters. LLaMA's parts learn more in
            // the same time at this size than GPT-2's, above all rotary positions (docs/measurements/learning.md).
            ModelConfig {
                tie_word_embeddings: true,
                ..ModelConfig::llama(65, 64, 64, 2, 4, 4, 176)
            },
            page(16, 64, 1000, 50, 5e-3),
        ),
        "small" => (
            "4 layers, 128 wide: nanoGPT's CPU size",
            "char",
            ModelConfig::gpt2(65, 64, 128, 4, 4),
            page(12, 64, 2000, 100, 1e-3),
        ),
        "char" => (
            "6 layers, 384 wide: nanoGPT's shakespeare_char",
            "char",
            ModelConfig { dropout: 0.2, ..ModelConfig::gpt2(65, 256, 384, 6, 6) },
            page(64, 256, 5000, 100, 1e-3),
        ),
        "gpt2" => ("GPT-2 124M", "bpe:50257", gpt2(768, 12, 12), full(6e-4, 1024, 16, 19_073)),
        "gpt2-medium" => {
            ("GPT-2 350M", "bpe:50257", gpt2(1024, 24, 16), full(3e-4, 1024, 8, 19_073))
        }
        "gpt2-large" => {
            ("GPT-2 774M", "bpe:50257", gpt2(1280, 36, 20), full(2.5e-4, 1024, 4, 38_147))
        }
        "gpt2-xl" => ("GPT-2 1.5B", "bpe:50257", gpt2(1600, 48, 25), full(2e-4, 1024, 2, 60_000)),
        "llama-60m" => {
            ("LLaMA-like 60M", "bpe:32000", llama(512, 8, 8, 1376), full(1e-3, 1024, 32, 10_000))
        }
        "llama-130m" => {
            ("LLaMA-like 130M", "bpe:32000", llama(768, 12, 12, 2048), full(6e-4, 1024, 16, 20_000))
        }
        "llama-350m" => {
            ("LLaMA-like 350M", "bpe:32000", llama(1024, 24, 16, 2736), full(4e-4, 1024, 8, 60_000))
        }
        "llama-1b" => (
            "LLaMA-like 1.3B",
            "bpe:32000",
            llama(2048, 24, 32, 5461),
            full(2e-4, 2048, 2, 100_000),
        ),
        _ => (
            "LLaMA-like 6.7B",
            "bpe:32000",
            llama(4096, 32, 32, 11_008),
            full(1.5e-4, 2048, 1, 150_000),
        ),
    };
    Ok(Preset { name: PRESETS[index], description, tokenizer, model, train, data })
}
