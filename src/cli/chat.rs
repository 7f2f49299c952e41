//! `blankslate chat`: a conversation in the terminal, one line per message.

use std::io::{self, BufRead, IsTerminal};
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use serde_json::json;

use super::failure::CliResult;
use super::model::ModelArgs;
use super::output;
use super::sampling::SamplingFlags;
use super::stderr::message;
use crate::checkpoint::{OTHER_TEMPLATE, supports_chat};
use crate::config::SampleConfig;
use crate::error::Error;
use crate::run::require_generation_memory;
use crate::sample::{CachedDecoder, Generator};
use crate::tokenizer::{Message, Role, Tokenizer};

/// Input that restarts the conversation.
const RESET: &str = "/reset";
/// Printed before each line of input on a terminal.
const PROMPT: &str = "> ";

/// Options of `blankslate chat`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct ChatArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// System message: instructions that precede the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingFlags,
    /// Print one JSON object per answer instead of streaming its text
    #[arg(long)]
    json: bool,
}

/// Answers each line of standard input until it ends.
pub async fn run(args: &ChatArgs) -> CliResult<()> {
    let config = args.sampling.config()?;
    let opened = args.model.open().await?;
    let tokenizer = opened.tokenizer()?;
    if tokenizer.chat_tokens().is_some() && !supports_chat(opened.model.config(), tokenizer) {
        message("this model was not trained on conversations; its answers will be poor");
    }
    if opened.has_other_template {
        message(&format!("note: {OTHER_TEMPLATE}"));
    }
    let first_messages = || -> Vec<Message> {
        let message = |content: &String| Message { role: Role::System, content: content.clone() };
        args.system.iter().map(message).collect()
    };
    let typed = io::stdin().is_terminal() && !args.json;
    if typed {
        output::line(&format!("{RESET} restarts the conversation, Ctrl-D ends it"))?;
    }
    let mut messages = first_messages();
    let device = opened.model.device();
    let mut decoder = CachedDecoder::from(opened.model.clone());
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
            RESET => messages = first_messages(),
            content => {
                messages.push(Message { role: Role::User, content: content.into() });
                let content;
                (content, decoder) =
                    answer(decoder, &device, tokenizer, &messages, &config, args.json).await?;
                messages.push(Message { role: Role::Assistant, content });
            }
        }
    }
}

/// Prints the answer while it is generated, or as JSON. Returns it with the KV cache for the next answer.
async fn answer(
    decoder: CachedDecoder,
    device: &Device,
    tokenizer: &Tokenizer,
    messages: &[Message],
    config: &SampleConfig,
    json: bool,
) -> CliResult<(String, CachedDecoder)> {
    let (mut generator, dropped) = Generator::for_chat(decoder, tokenizer, messages, config)?;
    require_generation_memory(&generator, device)?;
    let prompt_tokens = generator.ids().len();
    if dropped > 0 {
        message(&format!("the context is full: the {dropped} oldest messages are left out"));
    }
    let started = Instant::now();
    let mut text = String::new();
    while let Some(piece) = generator.next().await? {
        if !json && !piece.text.is_empty() {
            output::text(piece.text.as_bytes())?;
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
            "tokens_per_second": tokens as f64 / started.elapsed().as_secs_f64().max(1e-9),
            "dropped": dropped,
        }))?
    } else {
        output::write(b"\n")?
    }
    Ok((text, generator.into_decoder()))
}
