//! How tokens are drawn: the flags that `sample` and `chat` share.

use clap::Args;

use super::failure::{CliResult, usage};
use crate::config::SampleConfig;

/// The settings of [`SampleConfig`].
#[derive(Args)]
pub struct SamplingFlags {
    /// Tokens to generate at most
    #[arg(long, value_name = "N", default_value_t = SampleConfig::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Divides the logits; 0 takes the most likely token always
    #[arg(long, value_name = "X", default_value_t = SampleConfig::default().temperature)]
    temperature: f64,
    /// Keep only the N most likely tokens; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = SampleConfig::default().top_k)]
    top_k: usize,
    /// Keep the fewest tokens whose probability reaches X; 1 keeps all
    #[arg(long, value_name = "X", default_value_t = SampleConfig::default().top_p)]
    top_p: f64,
    /// Drop tokens below this share of the most likely one's probability; 0 keeps all
    #[arg(long, value_name = "X", default_value_t = SampleConfig::default().min_p)]
    min_p: f64,
    /// Weaken tokens already present; 1 is off
    #[arg(long, value_name = "X", default_value_t = SampleConfig::default().repetition_penalty)]
    repetition_penalty: f64,
    /// Stop before this text; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Seed of the draw
    #[arg(long, value_name = "N", default_value_t = SampleConfig::default().seed)]
    seed: u64,
}

impl SamplingFlags {
    /// # Errors
    /// Settings from which nothing could be drawn.
    pub fn config(&self) -> CliResult<SampleConfig> {
        let config = SampleConfig {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            stop: self.stop.clone(),
            seed: self.seed,
        };
        config.validate().map_err(usage)?;
        Ok(config)
    }
}
