//! `blankslate sample`.

use std::io::{self, Read};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::failure::CliResult;
use super::model::ModelArgs;
use super::output;
use super::sampling::SamplingFlags;
use super::stderr::line;
use crate::error::{Error, Result};
use crate::run::require_generation_memory;
use crate::sample::{DraftStats, Drafter, Generator};
use crate::tokenizer::{AllowedSpecial, Tokenizer};

/// Options of `blankslate sample`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct SampleArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Start of the text; - reads it from standard input
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    prompt: String,
    /// Recognize special tokens in the prompt, such as <|endoftext|>, instead of encoding their letters
    #[arg(long)]
    special: bool,
    /// Draft model for speculative decoding, smaller and with the same tokenizer: the same text, sooner
    #[arg(long, value_name = "DIR", group = "drafter")]
    draft: Option<String>,
    /// Speculative decoding without a draft model: propose the tokens that followed the last n-gram earlier in the text
    #[arg(long, group = "drafter")]
    draft_ngram: bool,
    /// Tokens proposed per forward pass
    #[arg(long, value_name = "N", default_value_t = 4, requires = "drafter")]
    draft_tokens: usize,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Print one JSON object at the end instead of streaming the text
    #[arg(long)]
    json: bool,
}

/// Generates text.
pub async fn run(args: &SampleArgs) -> CliResult<()> {
    let config = args.sampling.config()?;
    let opened = args.model.open().await?;
    let prompt = if args.prompt == "-" { read_text()? } else { args.prompt.clone() };
    let tokenizer = opened.tokenizer()?;
    let allowed = if args.special { AllowedSpecial::All } else { AllowedSpecial::None };
    let model = opened.model.clone();
    let mut generator = Generator::with_special(model, tokenizer, &prompt, &allowed, &config)?;
    if let Some(draft) = args.drafter(tokenizer).await? {
        generator = generator.with_drafter(draft, args.draft_tokens)?;
    }
    require_generation_memory(&generator, &opened.model.device())?;
    if !args.json {
        output::text(prompt.as_bytes())?;
    }
    let started = Instant::now();
    let mut text = String::new();
    while let Some(piece) = generator.next().await? {
        if !args.json && !piece.text.is_empty() {
            output::text(piece.text.as_bytes())?;
        }
        text.push_str(&piece.text);
    }
    if !args.json {
        output::write(b"\n")?;
        if let Some(DraftStats { proposed, accepted, passes, .. }) = generator.draft_stats() {
            let tokens = generator.generated_tokens();
            line(&format!(
                "{accepted} of {proposed} proposed tokens were accepted: {tokens} tokens in {passes} forward passes"
            ));
        }
        return Ok(());
    }
    let tokens = generator.generated_tokens();
    output::json(&json!({
        "text": text,
        "prompt": prompt,
        "tokens": tokens,
        "tokens_per_second": tokens as f64 / started.elapsed().as_secs_f64().max(1e-9),
        "device": opened.device.name,
        "guesses": generator.draft_stats().map(|stats| json!({
            "made": stats.proposed, "right": stats.accepted, "passes": stats.passes,
        })),
    }))
}

impl SampleArgs {
    /// Returns the drafter, if one was requested.
    async fn drafter(&self, tokenizer: &Tokenizer) -> Result<Option<Drafter>> {
        let Some(place) = &self.draft else {
            return Ok(self.draft_ngram.then_some(Drafter::Ngram));
        };
        let device = self.model.device.clone();
        let draft = ModelArgs { model: place.clone(), ema: false, device };
        let draft = draft.open().await?;
        if draft.tokenizer()?.to_json() != tokenizer.to_json() {
            let problem = format!("{place} has another tokenizer than {}", self.model.model);
            return Err(Error::config(
                "--draft",
                problem,
                "use a draft model with the same tokenizer",
            ));
        }
        Ok(Some(Drafter::model(draft.model)))
    }
}

/// Reads all of standard input as text.
pub fn read_text() -> Result<String> {
    const WHAT: &str = "standard input";
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(|e| Error::io(WHAT, e))?;
    Error::decode(WHAT, bytes)
}
