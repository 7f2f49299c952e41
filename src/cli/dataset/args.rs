//! The options of `blankslate data prepare`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::super::tokenizer_spec::pattern_parser;
use super::dedup::DedupRule;
use super::inputs::Format;
use crate::data::prepared::Layout;
use crate::tokenizer::Pattern;

/// Minimum memory: several copies of the longest record must fit.
const LEAST_MEMORY: u64 = 256 << 20;
/// Maximum number of tokens per shard: llm.c's header has 31 bits for it.
const MOST_TOKENS: u64 = i32::MAX as u64;

/// Options of `blankslate data prepare`.
#[derive(Args)]
pub struct PrepareArgs {
    /// tokenizer.json, a folder with one, or a tiktoken file
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
    /// Pattern that splits text before merging; required for a tiktoken file, which lacks it
    #[arg(long, value_parser = pattern_parser())]
    pub pattern: Option<Pattern>,
    /// Output folder: new, empty, or with an interrupted preparation to continue
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    pub out: String,
    /// Files, folders (read recursively), or - for standard input: .txt, .md, .jsonl, .csv, .tsv, each also followed by .gz, .zst
    /// or .xz
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Format of standard input, and of files without a known extension [default: txt for standard input]
    #[arg(long, value_parser = Format::NAMES.map(|(name, _)| name))]
    pub format: Option<String>,
    /// Field of JSON records, or column of CSV and TSV, with the documents
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub text_field: String,
    /// Separator of the documents in a text file, such as <|endoftext|>. Adjacent line breaks are ignored. Without it, a text
    /// file is one document
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub separator: Option<String>,
    /// Recognize special tokens in texts instead of encoding them as plain text
    #[arg(long)]
    pub special_tokens_in_text: bool,
    /// Leave out documents with fewer characters
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_chars: usize,
    /// Leave out duplicates of earlier documents: those with the same text (exact), or those that are nearly the same (minhash:
    /// shingles of 5 words, 14 bands of 8 hashes, as FineWeb)
    #[arg(long, value_name = "RULE", value_parser = DedupRule::NAMES.map(|(name, _)| name), default_value = DedupRule::NAMES[0].0)]
    pub dedup: String,
    /// Share of the documents, chosen by a hash of their text, that is written to validation shards
    #[arg(long, value_name = "X", default_value_t = 0.005, value_parser = share)]
    pub val_fraction: f64,
    /// Shuffle the documents with --seed. This temporarily needs additional disk space for the tokens
    #[arg(long)]
    pub shuffle_documents: bool,
    /// Seed of --shuffle-documents
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Maximum tokens per shard. Documents are not split: a longer document gets a shard of its own [default: 100M]
    #[arg(long, value_name = "N", value_parser = shard_tokens)]
    pub shard_tokens: Option<u64>,
    /// Layout of the files: blankslate (train-000000.bin), llm.c (NAME_train_000000.bin) or nanogpt (train.bin). The first two
    /// have llm.c's header
    #[arg(long, value_name = "NAME", value_parser = Layout::NAMES.map(|(name, _)| name), default_value = Layout::NAMES[0].0)]
    pub layout: String,
    /// License of the texts, for the manifest
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub license: String,
    /// Number of encoding threads [default: one per core]. The result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub workers: Option<u64>,
    /// Memory limit: half is for texts and tokens in flight, half for the keys of --dedup and the order of --shuffle-documents.
    /// The program and the vocabulary are not included
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = memory)]
    pub memory: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Parses a number that may end with `K`, `M`, `G` or `T`, each `unit` times the one before.
fn number(text: &str, unit: u64) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err("a number ends with K, M, G, T or none of them".into()),
    };
    let number: u64 = digits.replace('_', "").parse().map_err(|_| "it is not a whole number")?;
    number.checked_mul(unit.pow(power)).ok_or_else(|| "it is too large".into())
}

fn shard_tokens(text: &str) -> Result<u64, String> {
    let tokens = number(text, 1000)?;
    match tokens {
        1..=MOST_TOKENS => Ok(tokens),
        _ => Err(format!("it must be at least 1 and at most {MOST_TOKENS}")),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = number(text, 1024)?;
    match bytes {
        LEAST_MEMORY.. => Ok(bytes),
        _ => Err("it must be at least 256M".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is not a number")?;
    if (0.0..1.0).contains(&share) {
        Ok(share)
    } else {
        Err("it must be at least 0 and below 1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(shard_tokens("100M"), Ok(100_000_000));
        assert_eq!(shard_tokens("1_000"), Ok(1000));
        assert_eq!(memory("1g"), Ok(1 << 30));
        for wrong in ["", "M", "1.5M", "1Q", "-1", "99999999T", "0", "3G"] {
            assert!(shard_tokens(wrong).is_err(), "{wrong}");
        }
        assert!(memory("1M").is_err() && share("1").is_err() && share("NaN").is_err());
    }
}
