//! The tokenizer that `--tokenizer` names: a file, or a kind to train on the data.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::data::Source;
use super::interrupt;
use crate::checkpoint::{ADDED_TOKENS, MERGES, TOKENIZER, VOCAB};
use crate::error::{Error, Result};
use crate::tokenizer::{
    END_OF_TEXT, Kind, Pattern, Tokenizer, TrainOptions, TrainProgress, TrainStage,
};

/// A tokenizer as named on the command line: `char`, `byte`, `bpe:N`, `wordpiece:N`, or a file.
pub enum Spec<'a> {
    /// A tokenizer to train.
    Train(TrainOptions),
    /// A `tokenizer.json`, a folder with one, or a tiktoken file.
    File(&'a Path),
}

impl<'a> Spec<'a> {
    /// Parses a specification.
    ///
    /// # Errors
    /// The vocabulary size is missing or not a number.
    pub fn parse(text: &'a str) -> Result<Self> {
        let kind = text.split_once(':').map_or(text, |(kind, _)| kind);
        match kind {
            "char" | "byte" | "bpe" | "wordpiece" => {
                Ok(Self::Train(TrainOptions::from_spec(text)?))
            }
            _ => Ok(Self::File(Path::new(text))),
        }
    }

    /// Reads or trains the tokenizer. Prepared data has its own, with which it is read instead of training one.
    ///
    /// # Errors
    /// The file cannot be read; no tokenizer can be trained on the data.
    pub fn tokenizer(self, sources: &[Source], pattern: Option<Pattern>) -> Result<Tokenizer> {
        if let (Self::Train(_), Some(folder)) =
            (&self, sources.iter().find_map(Source::prepared_folder))
        {
            return read(folder, pattern);
        }
        match self {
            // Needs no text, so it also works with token shards.
            Self::Train(options) if options.kind == Kind::Byte => Tokenizer::byte(&[]),
            Self::Train(options) => {
                train(&TrainOptions { pattern: pattern.unwrap_or_default(), ..options }, sources)
            }
            Self::File(path) if !path.exists() => {
                let problem = format!("{} is neither a file nor a kind", path.display());
                let remedy = "give char, byte, bpe:N, wordpiece:N, or an existing file or folder";
                Err(Error::config("--tokenizer", problem, remedy))
            }
            Self::File(path) => read(path, pattern),
        }
    }
}

/// Refuses a tokenizer that is to be trained, if it was `given` for prepared data, which has its own.
///
/// # Errors
/// [`Error::Config`] if so.
pub fn refuse_other_tokenizer(given: Option<&str>, spec: &Spec, is_prepared: bool) -> Result<()> {
    if given.is_some() && is_prepared && matches!(spec, Spec::Train(_)) {
        let problem = "prepared data has a tokenizer of its own";
        return Err(Error::config("--tokenizer", problem, "leave it out"));
    }
    Ok(())
}

/// Returns the specification of a tokenizer that is like this one, for [`Spec::parse`].
pub fn words(tokenizer: &Tokenizer) -> String {
    match tokenizer.kind() {
        Kind::Byte => "byte".into(),
        Kind::Char => "char".into(),
        // SentencePiece cannot be trained; this is the closest.
        Kind::Bpe | Kind::SentencePiece => format!("bpe:{}", tokenizer.vocab_size()),
        Kind::WordPiece => format!("wordpiece:{}", tokenizer.vocab_size()),
    }
}

/// Parser of `--pattern`, whose help lists the names.
pub fn pattern_parser() -> impl TypedValueParser<Value = Pattern> {
    PossibleValuesParser::new(Pattern::NAMES.map(|(name, _)| name))
        .map(|name| Pattern::from_name(&name).expect("one of the possible values"))
}

/// Trains on all cores and shows the progress on a terminal.
pub fn train(options: &TrainOptions, sources: &[Source]) -> Result<Tokenizer> {
    let texts: Vec<_> = sources.iter().map(Source::texts).collect::<Result<_>>()?;
    let texts = texts.into_iter().flatten();
    let text_bytes = sources.iter().map(Source::text_bytes).sum();
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("tokenizer {wide_bar} {msg}").expect("a valid template"),
    );
    let progress = |report: TrainProgress| {
        match report.stage {
            TrainStage::Counting => {
                bar.set_length(text_bytes);
                bar.set_message(format!("{} bytes counted", report.done));
            }
            TrainStage::Merging => {
                bar.set_length(report.total);
                bar.set_message(format!("{} of {} tokens", report.done, report.total));
            }
        }
        bar.set_position(report.done);
        if interrupt::pressed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let run_all = |jobs: usize, job: &(dyn Fn(usize) + Sync)| {
        (0..jobs).into_par_iter().for_each(job);
    };
    let tokenizer = Tokenizer::train(options, texts, run_all, progress);
    bar.finish_and_clear();
    tokenizer
}

/// Reads a `tokenizer.json`, a folder with one, or a tiktoken file, which requires `pattern`.
pub fn read(path: &Path, pattern: Option<Pattern>) -> Result<Tokenizer> {
    let file = if path.is_dir() { path.join(TOKENIZER) } else { path.to_path_buf() };
    if path.is_dir() && !file.exists() && path.join(VOCAB).exists() {
        return read_pair(path);
    }
    let bytes = fs::read(&file).map_err(|e| Error::io(&file, e))?;
    let ranks = tiktoken_ranks(&bytes);
    let special = |pattern| published_special_tokens(&ranks, pattern);
    let read = match pattern.or_else(|| published_pattern(&ranks)) {
        _ if bytes.trim_ascii_start().first() == Some(&b'{') => Tokenizer::from_json(&bytes),
        Some(pattern) => Tokenizer::from_tiktoken(&bytes, pattern, &special(pattern)),
        None => Err(Error::malformed(
            TOKENIZER,
            "it is not a tokenizer.json",
            "give one, or add --pattern for a tiktoken file",
        )),
    };
    read.map_err(|error| error.renamed(|_| file.display().to_string()))
}

/// Reads the `vocab.json` and `merges.txt` of a folder.
fn read_pair(folder: &Path) -> Result<Tokenizer> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|e| Error::io(path, e))
    };
    let added = folder.join(ADDED_TOKENS).exists().then(|| read(ADDED_TOKENS)).transpose()?;
    Tokenizer::from_vocab_and_merges(&read(VOCAB)?, &read(MERGES)?, added.as_deref())
        .map_err(|error| error.renamed(|_| folder.display().to_string()))
}

/// Returns the ranks in a tiktoken vocabulary in ascending order, or those that can be read.
fn tiktoken_ranks(bytes: &[u8]) -> Vec<u32> {
    let rank = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        std::str::from_utf8(&line[at + 1..]).ok()?.trim().parse().ok()
    };
    let mut ranks: Vec<u32> = bytes.split(|byte| *byte == b'\n').filter_map(rank).collect();
    ranks.sort_unstable();
    ranks
}

/// Returns the pattern of a published vocabulary, which is known by its size.
fn published_pattern(ranks: &[u32]) -> Option<Pattern> {
    match (ranks.len(), ranks.last()?) {
        // r50k_base and p50k_base.
        (50_256, 50_255) | (50_280, 50_280) => Some(Pattern::Gpt2),
        (100_256, 100_255) => Some(Pattern::Cl100k),
        (128_000, 127_999) => Some(Pattern::Llama3),
        (199_998, 199_997) => Some(Pattern::O200k),
        _ => None,
    }
}

/// Returns the special tokens of a published vocabulary. Others get one, in the gap between the ranks, as in p50k_base, or
/// after the last.
fn published_special_tokens(ranks: &[u32], pattern: Pattern) -> Vec<(String, u32)> {
    let after = ranks.last().map_or(0, |last| last.saturating_add(1));
    match (pattern, ranks.len()) {
        (Pattern::Cl100k, 100_256) => vec![(END_OF_TEXT.into(), 100_257)],
        (Pattern::O200k, 199_998) => vec![(END_OF_TEXT.into(), 199_999)],
        (Pattern::Llama3, 128_000) => {
            vec![("<|begin_of_text|>".into(), 128_000), ("<|end_of_text|>".into(), 128_001)]
        }
        _ => {
            let gap = (0..).zip(ranks).find(|(expected, rank)| expected != *rank);
            let has_one = ranks.len() as u32 == after.wrapping_sub(1);
            let id = gap.map(|(id, _)| id).filter(|_| has_one).unwrap_or(after);
            vec![(END_OF_TEXT.into(), id)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_text_is_in_the_gap_between_ranks_or_after_them() {
        let id = |ranks: &[u32]| published_special_tokens(ranks, Pattern::Gpt2)[0].1;
        assert_eq!((id(&[0, 1, 2]), id(&[0, 2, 3]), id(&[0, 3, 4])), (3, 1, 5));
        let p50k: Vec<u32> = (0..50_281).filter(|rank| *rank != 50_256).collect();
        assert_eq!((id(&p50k), published_pattern(&p50k)), (50_256, Some(Pattern::Gpt2)));
        let cl100k: Vec<u32> = (0..100_256).collect();
        assert_eq!(published_pattern(&cl100k), Some(Pattern::Cl100k));
        assert_eq!(published_special_tokens(&cl100k, Pattern::Cl100k)[0].1, 100_257);
        let o200k: Vec<u32> = (0..199_998).collect();
        assert_eq!(published_pattern(&o200k), Some(Pattern::O200k));
        assert_eq!(published_special_tokens(&o200k, Pattern::O200k)[0].1, 199_999);
        assert_eq!(published_pattern(&[0, 1, 2]), None);
        assert_eq!(tiktoken_ranks(b"YQ== 1\n\nYg== 0\r\nbad\n"), [0, 1]);
    }
}
