//! `blankslate sample`.

use std::io::{self, Read};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::failure::{CliResult, usage};
use super::model::ModelArgs;
use super::output;
use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::sample::Generator;

/// Options of `blankslate sample`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct SampleArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The beginning of the text; - reads it from standard input
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    prompt: String,
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
    /// One JSON object at the end instead of the text as it comes
    #[arg(long)]
    json: bool,
}

/// Samples.
pub async fn run(args: &SampleArgs) -> CliResult<()> {
    let config = SampleConfig {
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        stop: args.stop.clone(),
        seed: args.seed,
    };
    config.validate().map_err(usage)?;
    let opened = args.model.open().await?;
    let prompt = if args.prompt == "-" { read_text()? } else { args.prompt.clone() };
    let tokenizer = opened.tokenizer()?;
    let mut generator = Generator::new(opened.model.clone(), tokenizer, &prompt, &config)?;
    if !args.json {
        output::write(prompt.as_bytes())?;
    }
    let begun = Instant::now();
    let mut text = String::new();
    while let Some(piece) = generator.next().await? {
        if !args.json && !piece.text.is_empty() {
            output::write(piece.text.as_bytes())?;
        }
        text.push_str(&piece.text);
    }
    if !args.json {
        return output::write(b"\n");
    }
    let tokens = generator.produced();
    output::json(&json!({
        "text": text,
        "prompt": prompt,
        "tokens": tokens,
        "tokens_per_second": tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9),
        "device": opened.device.name,
    }))
}

/// All of standard input as text.
pub fn read_text() -> Result<String> {
    const WHAT: &str = "standard input";
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(|e| Error::io(WHAT, e))?;
    String::from_utf8(bytes)
        .map_err(|e| Error::NotUtf8 { what: WHAT.into(), offset: e.utf8_error().valid_up_to() })
}
