//! `blankslate chat`: a conversation in the terminal, a line a turn.

use std::io::{self, BufRead, IsTerminal};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::failure::CliResult;
use super::model::ModelArgs;
use super::output;
use super::sampling::SamplingFlags;
use crate::checkpoint::supports_chat;
use crate::config::SampleConfig;
use crate::error::Error;
use crate::sample::{CachedDecoder, Generator};
use crate::tokenizer::{Message, Role, Tokenizer};

/// Begins the conversation anew.
const RESET: &str = "/reset";
/// What stands before a line that is to be typed.
const PROMPT: &str = "> ";

/// Options of `blankslate chat`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct ChatArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// One JSON object per answer instead of the text as it comes
    #[arg(long)]
    json: bool,
}

/// Talks until standard input ends.
pub async fn run(args: &ChatArgs) -> CliResult<()> {
    let config = args.sampling.config()?;
    let opened = args.model.open().await?;
    let tokenizer = opened.tokenizer()?;
    if tokenizer.chat_tokens().is_some() && !supports_chat(opened.model.config(), tokenizer) {
        eprintln!("blankslate: this model was not trained on conversations; expect little");
    }
    let beginning = || -> Vec<Message> {
        let message = |content: &String| Message { role: Role::System, content: content.clone() };
        args.system.iter().map(message).collect()
    };
    let typed = io::stdin().is_terminal() && !args.json;
    if typed {
        output::line(&format!("{RESET} begins anew, Ctrl-D ends"))?;
    }
    let mut messages = beginning();
    let mut reader = CachedDecoder::from(opened.model.clone());
    loop {
        if typed {
            output::write(PROMPT.as_bytes())?;
        }
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        if read.map_err(|e| Error::io("standard input", e))? == 0 {
            return Ok(());
        }
        match line.trim() {
            "" => {}
            RESET => messages = beginning(),
            content => {
                messages.push(Message { role: Role::User, content: content.into() });
                let said;
                (said, reader) = answer(reader, tokenizer, &messages, &config, args.json).await?;
                messages.push(Message { role: Role::Assistant, content: said });
            }
        }
    }
}

/// Writes the answer as it comes, or as JSON, and returns it, with what the model has read for the next one.
async fn answer(
    reader: CachedDecoder,
    tokenizer: &Tokenizer,
    messages: &[Message],
    config: &SampleConfig,
    json: bool,
) -> CliResult<(String, CachedDecoder)> {
    let (mut generator, dropped) = Generator::for_chat(reader, tokenizer, messages, config)?;
    let prompt_tokens = generator.ids().len();
    if dropped > 0 {
        eprintln!("blankslate: the context is full: the {dropped} oldest messages are left out");
    }
    let begun = Instant::now();
    let mut text = String::new();
    while let Some(piece) = generator.next().await? {
        if !json && !piece.text.is_empty() {
            output::write(piece.text.as_bytes())?;
        }
        text.push_str(&piece.text);
    }
    let tokens = generator.generated_tokens();
    if json {
        output::json(&json!({
            "role": Role::Assistant.name(),
            "content": text,
            "prompt_tokens": prompt_tokens,
            "reused": generator.reused_tokens(),
            "tokens": tokens,
            "tokens_per_second": tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9),
            "dropped": dropped,
        }))?
    } else {
        output::write(b"\n")?
    }
    Ok((text, generator.into_decoder()))
}
