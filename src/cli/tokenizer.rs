//! `blankslate tokenizer train|encode|decode`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::data::{DataArgs, FormatArg, Source};
use super::failure::{CliResult, usage};
use super::output::{self, bytes, grouped};
use super::sample::read_text;
use super::tokenizer_spec::{pattern_parser, read, train};
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::tokenizer::{AllowedSpecial, Kind, Pattern, Tokenizer, TrainOptions};

/// Bytes of text on which a new vocabulary is measured.
const MEASURED: usize = 4 << 20;

/// Subcommands of `blankslate tokenizer`.
#[derive(Subcommand)]
pub enum TokenizerCommand {
    /// Train a vocabulary on texts and write it as tokenizer.json
    Train(VocabularyArgs),
    /// Encode text on standard input to token ids
    Encode(CodeArgs),
    /// Decode token ids on standard input to text
    Decode(CodeArgs),
}

/// Options of `blankslate tokenizer train`.
#[derive(Args)]
pub struct VocabularyArgs {
    /// Kind of tokenizer
    #[arg(long, value_parser = ["bpe", "wordpiece", "char", "byte"], default_value = "bpe")]
    kind: String,
    /// Maximum vocabulary size
    #[arg(long, value_name = "N", default_value_t = TrainOptions::default().vocab_size)]
    vocab_size: usize,
    /// Pattern that splits text before byte pairs are merged
    #[arg(long, value_parser = pattern_parser(), default_value = "gpt2")]
    pattern: Pattern,
    /// Special token, which ordinary text never encodes to; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    special_token: Vec<String>,
    /// Token for characters that a char or wordpiece vocabulary lacks
    #[arg(long, value_name = "TEXT")]
    unknown: Option<String>,
    /// Keep upper case and accents (wordpiece)
    #[arg(long)]
    cased: bool,
    /// Minimum number of occurrences of a pair that is merged
    #[arg(long, value_name = "N", default_value_t = TrainOptions::default().min_frequency)]
    min_frequency: u64,
    /// Keep only the N most frequent characters (char and wordpiece)
    #[arg(long, value_name = "N")]
    alphabet_limit: Option<usize>,
    /// Width of a model, for the size of its embedding in the report
    #[arg(long, value_name = "N", default_value_t = 768)]
    hidden_size: usize,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Texts: files, folders, or - for standard input [default: embedded plays by Shakespeare]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatArg,
}

/// Options of `blankslate tokenizer encode` and `decode`.
#[derive(Args)]
pub struct CodeArgs {
    /// tokenizer.json, a folder with one, or a tiktoken file
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Pattern that splits text before merging; required for a tiktoken file, which lacks it
    #[arg(long, value_parser = pattern_parser())]
    pattern: Option<Pattern>,
    /// Encode special tokens in the text as such (encode)
    #[arg(long)]
    allow_special: bool,
    /// Print one JSON object: {"ids": […]} or {"text": "…"}
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand of `blankslate tokenizer`.
pub async fn run(command: &TokenizerCommand) -> CliResult<()> {
    match command {
        TokenizerCommand::Train(args) => train_vocabulary(args).await,
        TokenizerCommand::Encode(args) => encode(args),
        TokenizerCommand::Decode(args) => decode(args),
    }
}

async fn train_vocabulary(args: &VocabularyArgs) -> CliResult<()> {
    let options = TrainOptions {
        kind: match args.kind.as_str() {
            "byte" => Kind::Byte,
            "char" => Kind::Char,
            "wordpiece" => Kind::WordPiece,
            _ => Kind::Bpe,
        },
        vocab_size: args.vocab_size,
        pattern: args.pattern,
        special_tokens: args.special_token.clone(),
        unknown: args.unknown.clone(),
        lowercase: !args.cased,
        min_frequency: args.min_frequency,
        alphabet_limit: args.alphabet_limit,
    };
    let data = DataArgs {
        data: args.files.clone(),
        format: args.format.clone(),
        token_width: None,
        special_tokens_in_text: false,
        verify_data: false,
    };
    let source = Source::read(&data, None)?;
    let started = Instant::now();
    let tokenizer = train(&options, std::slice::from_ref(&source)).map_err(usage)?;
    let seconds = started.elapsed().as_secs_f64();
    write_file(&args.out, &tokenizer.to_json()).await?;
    let text = first_text(&source)?;
    let report = tokenizer.report(&text, args.hidden_size, true, 4)?;
    if args.json {
        let mut value = serde_json::to_value(&report).expect("numbers serialize");
        value["seconds"] = json!(seconds);
        value["out"] = json!(args.out);
        return output::json(&value);
    }
    output::line(&format!(
        "{}: {} tokens from {} of text in {seconds:.1} s; {:.2} bytes per token; {} of embedding at width {}",
        args.out.display(),
        grouped(report.vocab_size as u64),
        bytes(source.text_bytes()),
        report.bytes_per_token,
        bytes(report.parameter_bytes),
        args.hidden_size,
    ))
}

/// Returns the first [`MEASURED`] bytes of the texts.
fn first_text(source: &Source) -> Result<String> {
    let mut text = String::new();
    for document in source.texts()? {
        let room = MEASURED.saturating_sub(text.len());
        text.push_str(&document[..document.floor_char_boundary(room)]);
    }
    Ok(text)
}

/// Writes a file atomically, or directly to a device or pipe.
async fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, bytes).map_err(|e| Error::io(path, e));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Store::open(&folder).await?.write(&name, bytes).await
}

fn encode(args: &CodeArgs) -> CliResult<()> {
    let tokenizer = read(&args.tokenizer, args.pattern)?;
    let allowed = if args.allow_special { AllowedSpecial::All } else { AllowedSpecial::None };
    let ids = tokenizer.encode_with_special(&read_text()?, &allowed)?;
    if args.json {
        return output::json(&json!({ "ids": ids }));
    }
    let words: Vec<String> = ids.iter().map(u32::to_string).collect();
    output::text(format!("{}\n", words.join(" ")).as_bytes())
}

fn decode(args: &CodeArgs) -> CliResult<()> {
    let tokenizer = read(&args.tokenizer, args.pattern)?;
    let ids = parse_ids(&read_text()?, &tokenizer)?;
    if args.json {
        output::json(&json!({ "text": tokenizer.decode(&ids)? }))
    } else {
        output::text(&tokenizer.decode_bytes(&ids)?)
    }
}

/// Parses ids that are separated by spaces or commas, a JSON list, or the output of `encode --json`.
fn parse_ids(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let list = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object.get("ids").map(Value::to_string),
        Ok(Value::Array(ids)) => Some(Value::Array(ids).to_string()),
        _ => None,
    };
    let list = list.as_deref().unwrap_or(text).trim().trim_matches(['[', ']']);
    let words = list.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let id: u64 = word.parse().map_err(|_| {
                let problem = format!("`{}` is not a token id", word.escape_debug());
                Error::malformed("standard input", problem, "separate ids by spaces or commas")
            })?;
            let vocab_size = tokenizer.vocab_size();
            u32::try_from(id).map_err(|_| Error::TokenOutOfRange { id, vocab_size })
        })
        .collect()
}
