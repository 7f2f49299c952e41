//! From text to a vocabulary of each kind.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;
use super::chars::Chars;
use super::count::{Progress, RunAll, WordCounts, Words, count_words};
use super::merges::{Corpus, Joining, learn};
use super::special::{SpecialToken, Specials};
use super::wordpiece::{self, WordPiece};
use super::{Kind, Model, Pattern, Tokenizer, byte_chars};
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What vocabulary to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// How text becomes tokens.
    pub kind: Kind,
    /// The most ids there may be, special tokens included. A text with little in it gives fewer;
    /// bytes and characters need only as many as there are.
    pub vocab_size: usize,
    /// BPE only: how text is cut before byte pairs are merged.
    pub pattern: Pattern,
    /// Texts that are one token each and that ordinary text never produces. Their ids come last,
    /// in WordPiece vocabularies first.
    pub special_tokens: Vec<String>,
    /// Characters and WordPiece: the token for what the vocabulary lacks. WordPiece always has
    /// one, by default `[UNK]`; without one, an unknown character is an error.
    pub unknown: Option<String>,
    /// WordPiece only: lower-case and strip accents.
    pub lowercase: bool,
    /// BPE and WordPiece: a pair that occurs less often is not merged.
    pub min_frequency: u64,
    /// Characters and WordPiece: keep only this many characters, the most frequent ones.
    pub alphabet_limit: Option<usize>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            kind: Kind::Bpe,
            vocab_size: 32_768,
            pattern: Pattern::Gpt2,
            special_tokens: Vec::new(),
            unknown: None,
            lowercase: true,
            min_frequency: 1,
            alphabet_limit: None,
        }
    }
}

/// Which half of training is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainStage {
    /// Cutting text into words and counting them; progress is in bytes.
    Counting,
    /// Merging pairs; progress is in tokens of the vocabulary.
    Merging,
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrainProgress {
    /// Which half.
    pub stage: TrainStage,
    /// Units done: bytes or tokens.
    pub done: u64,
    /// Units in all; 0 while counting, because the end of an iterator is not known.
    pub total: u64,
}

impl Tokenizer {
    /// Learns a vocabulary from texts. `run_all` runs the counting (with threads or without, see
    /// [`RunAll`]; the result is the same), `progress` is called throughout, and stops training
    /// with [`Error::Cancelled`] when it breaks.
    ///
    /// Errors if `vocab_size` cannot hold the alphabet and the special tokens, if the texts are
    /// empty (unless the kind is [`Kind::Byte`], which needs none), and on special tokens that are
    /// empty, repeated or part of the alphabet.
    pub fn train<T: AsRef<str>>(
        options: &TrainOptions,
        texts: impl IntoIterator<Item = T>,
        run_all: RunAll,
        mut progress: impl FnMut(TrainProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let texts = texts.into_iter();
        let progress: Progress = &mut progress;
        // Empty or repeated special tokens are reported before any work is done.
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
                "SentencePiece vocabularies are read from files, not trained",
                "train one of the kind bpe",
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
    // The characters that continue a word, in ascending order like the others.
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
            "characters beyond it would have no token",
            "name an unknown token as well, for example `<unk>`",
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

/// The characters of all words in ascending order, with their counts; of more than `limit` the
/// most frequent ones, of equally frequent ones the smallest.
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

/// The special tokens with the unknown one among them: in front, or at the end.
fn with_unknown(options: &TrainOptions, unknown: Option<&str>, in_front: bool) -> Vec<String> {
    let mut tokens = options.special_tokens.clone();
    if let Some(unknown) = unknown.filter(|unknown| !tokens.iter().any(|token| token == unknown)) {
        tokens.insert(if in_front { 0 } else { tokens.len() }, unknown.into());
    }
    tokens
}

/// Errors unless `vocab_size` holds the base alphabet and the special tokens.
pub(super) fn room(
    options: &TrainOptions,
    kind: &str,
    base: usize,
    base_words: &str,
    special_tokens: &[String],
) -> Result<()> {
    let minimum = base + special_tokens.len();
    if options.vocab_size >= minimum {
        return Ok(());
    }
    Err(Error::VocabTooSmall {
        requested: options.vocab_size,
        minimum,
        kind: kind.into(),
        why: format!("{} special tokens and {base_words}", special_tokens.len()),
    })
}

/// Gives special tokens the next ids.
pub(super) fn append_specials(
    kind: Kind,
    vocab: &mut BytesMap,
    special_tokens: &[String],
) -> Result<Specials> {
    refuse_alphabet(vocab, special_tokens, &spelled(kind, special_tokens))?;
    let first = vocab.len() as u32;
    let tokens = special_tokens.iter().zip(first..).map(|(content, id)| SpecialToken {
        content: content.clone(),
        id,
        special: true,
        normalized: false,
    });
    let specials = Specials::new(tokens.collect())?;
    for content in special_tokens {
        vocab.push_hidden(content.as_bytes())?;
    }
    Ok(specials)
}

/// Tokens that would be written to `tokenizer.json` with the same text as special tokens.
pub(super) fn spelled(kind: Kind, special_tokens: &[String]) -> Vec<Vec<u8>> {
    match kind {
        Kind::Byte | Kind::Bpe => {
            special_tokens.iter().filter_map(|token| byte_chars::unspell(token)).collect()
        }
        _ => special_tokens.iter().map(|token| token.as_bytes().to_vec()).collect(),
    }
}

/// Errors if a special token is an ordinary one already: then text would produce it.
pub(super) fn refuse_alphabet(
    vocab: &BytesMap,
    tokens: &[String],
    spelled: &[Vec<u8>],
) -> Result<()> {
    match spelled.iter().find_map(|bytes| (!bytes.is_empty()).then(|| vocab.find(bytes))?) {
        None => Ok(()),
        Some(id) => Err(Error::config(
            "special token",
            format!("one of {tokens:?} is also the ordinary token {id}"),
            "choose a text that does not occur, for example `<|endoftext|>`",
        )),
    }
}
