//! Training of each kind of tokenizer.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;
use super::chars::Chars;
use super::count::{RunAll, WordCounts, Words, count_words};
use super::merges::{Corpus, Joining, learn};
use super::options::{TrainOptions, room};
use super::progress::{Progress, TrainProgress};
use super::reserve::{append_specials, refuse_alphabet, spelled};
use super::wordpiece::{self, WordPiece};
use super::{Kind, Model, Tokenizer};
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

impl Tokenizer {
    /// Trains a tokenizer on texts. `run_all` runs the counting jobs (see [`RunAll`]). `progress` is called regularly and
    /// can stop training by returning `Break`.
    ///
    /// # Errors
    /// Returns an error if `vocab_size` is too small for the alphabet and the special tokens, if the texts are empty (except
    /// for [`Kind::Byte`]), if a special token is empty, repeated or part of the alphabet, or [`Error::Cancelled`].
    pub fn train<T: AsRef<str>>(
        options: &TrainOptions,
        texts: impl IntoIterator<Item = T>,
        run_all: RunAll,
        mut progress: impl FnMut(TrainProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let texts = texts.into_iter();
        let progress: Progress = &mut progress;
        // Reports empty or repeated special tokens before the long work.
        append_specials(options.kind, &mut BytesMap::default(), &options.special_tokens)?;
        match options.kind {
            Kind::Byte => {
                room(options, "a byte tokenizer", 256, "256 bytes", &options.special_tokens)?;
                Self::byte(&options.special_tokens)
            }
            Kind::Char => {
                let counts = count_words(&Words::Chars, texts, run_all, progress)?;
                train_chars(options, &counts)
            }
            Kind::Bpe => Ok(Self::train_bpe(options, texts, run_all, progress)?.0),
            Kind::WordPiece => {
                let words = Words::Bert(normalizer(options));
                let counts = count_words(&words, texts, run_all, progress)?;
                train_wordpiece(options, counts, progress)
            }
            Kind::SentencePiece => Err(Error::config(
                "tokenizer",
                "SentencePiece vocabularies can only be read from files",
                "train a BPE tokenizer",
            )),
        }
    }
}

fn train_wordpiece(
    options: &TrainOptions,
    counts: WordCounts,
    progress: Progress,
) -> Result<Tokenizer> {
    let unknown = options.unknown.as_deref().unwrap_or(wordpiece::UNKNOWN);
    let special_tokens = with_unknown(options, Some(unknown), true);
    let characters = alphabet(&counts, options.alphabet_limit);
    // Characters that continue a word, sorted.
    let mut continuing: BTreeMap<char, u32> = BTreeMap::new();
    for (word, _) in counts.iter() {
        let text = String::from_utf8_lossy(word);
        let inner = text.chars().skip(1).filter(|c| characters.contains_key(c));
        continuing.extend(inner.map(|c| (c, 0)));
    }
    let base = characters.len() + continuing.len();
    let why = format!(
        "{} characters and {} that continue a word; alphabet_limit keeps fewer",
        characters.len(),
        continuing.len()
    );
    room(options, "WordPiece", base, &why, &special_tokens)?;

    let mut vocab = BytesMap::default();
    let specials = append_specials(Kind::WordPiece, &mut vocab, &special_tokens)?;
    let mut starting: FxHashMap<char, u32> = FxHashMap::default();
    for &c in characters.keys() {
        starting.insert(c, vocab.insert(c.to_string().as_bytes())?);
    }
    for (c, id) in &mut continuing {
        *id = vocab.insert(format!("{}{c}", wordpiece::PREFIX).as_bytes())?;
    }
    let forbidden = spelled(Kind::WordPiece, &special_tokens);
    refuse_alphabet(&vocab, &special_tokens, &forbidden)?;
    let mut corpus = Corpus::with_capacity(counts.len(), counts.total_bytes());
    for (word, count) in counts.iter() {
        let text = String::from_utf8_lossy(word);
        let symbols = text.chars().enumerate().map(|(index, c)| match index {
            0 => starting.get(&c).copied(),
            _ => continuing.get(&c).copied(),
        });
        corpus.push(symbols, count)?;
    }
    drop(counts);
    let joining = Joining { prefix: wordpiece::PREFIX.as_bytes(), forbidden: &forbidden };
    learn(corpus, &mut vocab, options.vocab_size, options.min_frequency, &joining, progress)?;
    let unknown = specials.id_of(unknown).unwrap_or_default();
    let model = Model::WordPiece(WordPiece::new(
        &vocab,
        normalizer(options),
        wordpiece::PREFIX.into(),
        unknown,
        wordpiece::MAX_CHARS,
        true,
    ));
    Ok(Tokenizer::assemble(model, vocab, specials, None))
}

fn train_chars(options: &TrainOptions, counts: &WordCounts) -> Result<Tokenizer> {
    let special_tokens = with_unknown(options, options.unknown.as_deref(), false);
    if options.alphabet_limit.is_some() && options.unknown.is_none() {
        return Err(Error::config(
            "alphabet_limit",
            "the other characters would have no token",
            "set an unknown token too, such as `<unk>`",
        ));
    }
    let characters = alphabet(counts, options.alphabet_limit);
    let why = format!("{} distinct characters", characters.len());
    room(options, "a character tokenizer", characters.len(), &why, &special_tokens)?;
    let mut vocab = BytesMap::default();
    for c in characters.keys() {
        vocab.insert(c.to_string().as_bytes())?;
    }
    let specials = append_specials(Kind::Char, &mut vocab, &special_tokens)?;
    let unknown = options.unknown.as_deref().and_then(|unknown| specials.id_of(unknown));
    Ok(Tokenizer::assemble(Model::Char(Chars { unknown }), vocab, specials, None))
}

fn normalizer(options: &TrainOptions) -> BertNormalizer {
    BertNormalizer {
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: None,
        lowercase: options.lowercase,
    }
}

/// Returns the sorted characters of all words with their counts. If there are more than `limit`, keeps the most frequent
/// ones, and of equally frequent ones the smallest.
fn alphabet(counts: &WordCounts, limit: Option<usize>) -> BTreeMap<char, u64> {
    let mut characters: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in counts.iter() {
        for c in String::from_utf8_lossy(word).chars() {
            *characters.entry(c).or_default() += count;
        }
    }
    if let Some(limit) = limit.filter(|&limit| limit < characters.len()) {
        let mut ranked: Vec<_> = characters.into_iter().collect();
        ranked.sort_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
        characters = ranked.into_iter().take(limit).collect();
    }
    characters
}

/// Returns the special tokens with the unknown token, which is added at the front or at the end if it is missing.
fn with_unknown(options: &TrainOptions, unknown: Option<&str>, in_front: bool) -> Vec<String> {
    let mut tokens = options.special_tokens.clone();
    if let Some(unknown) = unknown.filter(|unknown| !tokens.iter().any(|token| token == unknown)) {
        tokens.insert(if in_front { 0 } else { tokens.len() }, unknown.into());
    }
    tokens
}
