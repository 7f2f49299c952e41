//! Reading `tokenizer.json`.

use super::schema::{self, Decoder, File, Normalizer, PreTokenizer, SplitPattern};
use super::{ANY_CHAR, PostProcessor, WHAT, broken, sentencepiece, unsupported};
use crate::error::{Error, Result};
use crate::tokenizer::bpe::Bpe;
use crate::tokenizer::bytes_map::BytesMap;
use crate::tokenizer::chars::Chars;
use crate::tokenizer::pattern::Pattern;
use crate::tokenizer::special::{SpecialToken, Specials};
use crate::tokenizer::wordpiece::{MAX_CHARS, PREFIX, UNKNOWN, WordPiece};
use crate::tokenizer::{ByteLevel, Model, Tokenizer, byte_chars, vocabulary};
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

impl Tokenizer {
    /// Reads Hugging Face's `tokenizer.json`: byte-level BPE with the patterns of GPT-2, GPT-4,
    /// Llama 3 or SmolLM, SentencePiece's BPE as in Llama 2, BERT's WordPiece, and whatever [`Self::to_json`] writes.
    ///
    /// `truncation` and `padding` are dropped. Errors name the first part of the file that is
    /// broken or not known; nothing that would change tokens is passed over.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::NotUtf8 { what: WHAT.into(), offset: error.valid_up_to() })?;
        let mut file: File = serde_json::from_str(text).map_err(|error| {
            Error::malformed(
                WHAT,
                error.to_string(),
                "take the file from its original source again, or save it anew with tokenizers",
            )
        })?;
        let Some(tokens) = file.model.vocab.0.take() else {
            let kind = file.model.kind.as_deref().unwrap_or("with a list for a vocabulary");
            return Err(unsupported(format!("model: the type {kind} is not known")));
        };
        let guess = if file.model.merges.is_some() { "BPE" } else { "WordPiece" };
        let kind = file.model.kind.clone().unwrap_or_else(|| guess.into());
        let specials = read_specials(&file.added_tokens, &tokens)?;
        let (model, vocab) = match kind.as_str() {
            "BPE" if file.model.byte_fallback == Some(true) => {
                require_plain_bpe(&file.model)?;
                sentencepiece::read(&file, tokens, &specials)?
            }
            "BPE" => read_bpe(&file, tokens, &specials)?,
            "WordPiece" => read_wordpiece(&file, tokens, &specials)?,
            "WordLevel" => read_chars(&file, tokens, &specials)?,
            other => return Err(unsupported(format!("model: the type `{other}` is not known"))),
        };
        let post =
            file.post_processor.map(|raw| PostProcessor::new(raw, |id| vocab.get(id).is_some()));
        Ok(Self::assemble(model, vocab, specials, post.transpose()?))
    }
}

pub(super) type Tokens = Vec<(String, u32)>;

/// One part of the file, with its name in errors.
pub(super) fn part<T: DeserializeOwned>(name: &str, value: &Option<Value>) -> Result<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    T::deserialize(value).map(Some).map_err(|error| unsupported(format!("{name}: {error}")))
}

fn read_specials(added: &[schema::AddedToken], tokens: &Tokens) -> Result<Specials> {
    let contents: FxHashMap<&str, u32> =
        added.iter().map(|token| (token.content.as_str(), token.id)).collect();
    for (text, id) in tokens {
        if let Some(other) = contents.get(text.as_str()).filter(|&other| other != id) {
            return Err(broken(format!(
                "the token {text:?} has the id {id} in the vocabulary and {other} in added_tokens"
            )));
        }
    }
    let mut specials = Vec::new();
    for token in added {
        for (name, set) in
            [("single_word", token.single_word), ("lstrip", token.lstrip), ("rstrip", token.rstrip)]
        {
            if set {
                let content = &token.content;
                return Err(unsupported(format!("added_tokens: {content:?} asks for {name}")));
            }
        }
        specials.push(SpecialToken {
            content: token.content.clone(),
            id: token.id,
            special: token.special,
            normalized: token.normalized,
        });
    }
    Specials::new(specials).map_err(|error| broken(format!("added_tokens: {error}")))
}

/// The table of a vocabulary whose tokens are written as they are.
pub(super) fn plain_vocab(tokens: Tokens, specials: &Specials) -> Result<BytesMap> {
    let ordinary = tokens.into_iter().filter(|(text, _)| specials.id_of(text).is_none());
    let ordinary = ordinary.map(|(text, id)| (text.into_bytes(), id)).collect();
    vocabulary::build(WHAT, ordinary, specials)
}

/// Refuses what changes tokens and is in no published BPE model.
fn require_plain_bpe(model: &schema::Model) -> Result<()> {
    for (name, set) in [
        ("dropout", model.dropout.is_some_and(|rate| rate != 0.0)),
        (
            "continuing_subword_prefix",
            model.continuing_subword_prefix.as_ref().is_some_and(|text| !text.is_empty()),
        ),
        ("end_of_word_suffix", model.end_of_word_suffix.as_ref().is_some_and(|t| !t.is_empty())),
    ] {
        if set {
            return Err(unsupported(format!("model: {name} is set")));
        }
    }
    Ok(())
}

/// The merges of the file as (rank, left, right, merged). No ordinary text leads to a special token, even if the
/// file has merges that would.
pub(super) fn ranked_merges(
    file: &File,
    tokens: &Tokens,
    specials: &Specials,
) -> Result<Vec<(u32, u32, u32, u32)>> {
    let mut merges = read_merges(file.model.merges.as_deref().unwrap_or_default(), tokens)?;
    let is_special = |id: u32| specials.get(id).is_some_and(|token| token.special);
    merges.retain(|&(left, right, id)| ![left, right, id].into_iter().any(is_special));
    let ranked = (0..).zip(merges).map(|(rank, (left, right, id))| (rank, left, right, id));
    Ok(ranked.collect())
}

fn read_bpe(file: &File, tokens: Tokens, specials: &Specials) -> Result<(Model, BytesMap)> {
    let model = &file.model;
    require_plain_bpe(model)?;
    if let Some(normalizer) = &file.normalizer {
        let kind = normalizer["type"].as_str().unwrap_or("without a type");
        return Err(unsupported(format!("normalizer: a BPE model with the normalizer {kind}")));
    }
    match part("decoder", &file.decoder)? {
        Some(Decoder::ByteLevel { .. }) => {}
        _ => return Err(unsupported("decoder: a BPE model without the decoder ByteLevel")),
    }
    let pattern = read_pattern(part("pre_tokenizer", &file.pre_tokenizer)?)?;

    let merges = ranked_merges(file, &tokens, specials)?;
    let mut ordinary = Vec::with_capacity(tokens.len());
    for (text, id) in tokens.into_iter().filter(|(text, _)| specials.id_of(text).is_none()) {
        let bytes = byte_chars::unspell(&text).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| {
            unsupported(format!("model: the token {text:?} (id {id}) is not written byte by byte"))
        })?;
        ordinary.push((bytes, id));
    }
    let is_bytes = ordinary.len() == 256
        && ordinary.iter().all(|(bytes, id)| bytes.len() == 1 && *id == u32::from(bytes[0]));
    let vocab = vocabulary::build(WHAT, ordinary, specials)?;
    if is_bytes && merges.is_empty() {
        return Ok((Model::Byte, vocab));
    }
    let bpe = Bpe::new(&vocab, merges.into_iter(), model.ignore_merges == Some(true));
    let pattern = match pattern {
        Some(pattern) => pattern,
        // Without merges it does not matter where the pieces end.
        None if bpe.merges().is_empty() && !bpe.ignore_merges => Pattern::Gpt2,
        None => return Err(unsupported("pre_tokenizer: a ByteLevel that does not cut the text")),
    };
    let unknown = model.unk_token.clone().filter(|text| !text.is_empty());
    Ok((Model::Bpe(Box::new(ByteLevel { bpe, pattern, unknown })), vocab))
}

/// The merges by id: (left, right, merged).
fn read_merges(merges: &[schema::Merge], tokens: &Tokens) -> Result<Vec<(u32, u32, u32)>> {
    let ids: FxHashMap<&str, u32> = tokens.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    let find = |index: usize, text: &str| {
        ids.get(text).copied().ok_or_else(|| {
            broken(format!("model: merge {index} needs the token {text:?}, which is not in vocab"))
        })
    };
    let mut result = Vec::with_capacity(merges.len());
    let mut joined = String::new();
    for (index, schema::Merge(left, right)) in merges.iter().enumerate() {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        result.push((find(index, left)?, find(index, right)?, find(index, &joined)?));
    }
    Ok(result)
}

/// The pattern of a byte-level pre-tokenizer; `None` if it does not cut at all.
fn read_pattern(pre_tokenizer: Option<PreTokenizer>) -> Result<Option<Pattern>> {
    use PreTokenizer::*;
    let prefix = || unsupported("pre_tokenizer: ByteLevel with add_prefix_space");
    match pre_tokenizer {
        Some(ByteLevel { add_prefix_space: true, .. }) => Err(prefix()),
        Some(ByteLevel { use_regex, .. }) => Ok(use_regex.then_some(Pattern::Gpt2)),
        Some(Sequence { pretokenizers }) => match pretokenizers.as_slice() {
            [Split { .. } | Digits { .. }, ByteLevel { add_prefix_space: true, .. }] => {
                Err(prefix())
            }
            [Digits { individual_digits: true }, ByteLevel { use_regex: true, .. }] => {
                Ok(Some(Pattern::SmolLm))
            }
            [Split { pattern: SplitPattern::String(text), .. }, ..] => {
                Err(unsupported(format!("pre_tokenizer: a Split at the text {text:?}")))
            }
            [
                Split { pattern: SplitPattern::Regex(regex), behavior, invert },
                ByteLevel { use_regex: false, .. },
            ] if cuts_at_matches(behavior, *invert) => match Pattern::from_regex(regex) {
                Some(pattern) => Ok(Some(pattern)),
                None => Err(unsupported(format!(
                    "pre_tokenizer: the regex `{regex}` is not that of GPT-2, GPT-4 or Llama 3"
                ))),
            },
            _ => Err(unsupported(
                "pre_tokenizer: a Sequence that is not one Split by regex, or Digits, and one ByteLevel",
            )),
        },
        _ => Err(unsupported("pre_tokenizer: a BPE model without ByteLevel")),
    }
}

/// Two ways to say that the matches are the pieces.
fn cuts_at_matches(behavior: &str, invert: bool) -> bool {
    matches!((behavior, invert), ("Isolated", _) | ("Removed", true))
}

fn read_wordpiece(file: &File, tokens: Tokens, specials: &Specials) -> Result<(Model, BytesMap)> {
    let model = &file.model;
    let Some(Normalizer::BertNormalizer(normalizer)) = part("normalizer", &file.normalizer)? else {
        return Err(unsupported("normalizer: a WordPiece model without BertNormalizer"));
    };
    match part("pre_tokenizer", &file.pre_tokenizer)? {
        Some(PreTokenizer::Bert {}) => {}
        _ => return Err(unsupported("pre_tokenizer: a WordPiece model without BertPreTokenizer")),
    }
    let prefix = model.continuing_subword_prefix.clone().unwrap_or_else(|| PREFIX.into());
    let cleanup = match part("decoder", &file.decoder)? {
        Some(Decoder::WordPiece { prefix: other, cleanup }) if other == prefix => cleanup,
        _ => {
            return Err(unsupported(format!(
                "decoder: a WordPiece model without a WordPiece decoder whose prefix is `{prefix}`"
            )));
        }
    };
    let unknown = model.unk_token.as_deref().unwrap_or(UNKNOWN);
    let vocab = plain_vocab(tokens, specials)?;
    let found = specials.id_of(unknown).or_else(|| vocab.find(unknown.as_bytes()));
    let Some(unknown) = found else {
        return Err(broken(format!(
            "model: the unknown token `{unknown}` is not in the vocabulary"
        )));
    };
    if let Some(token) = specials.iter().find(|token| token.normalized) {
        // Its text would be lower-cased before it is looked for.
        let content = &token.content;
        return Err(unsupported(format!("added_tokens: {content:?} asks for normalized")));
    }
    let longest = model.max_input_chars_per_word.unwrap_or(MAX_CHARS);
    let pieces = WordPiece::new(&vocab, normalizer, prefix, unknown, longest, cleanup);
    Ok((Model::WordPiece(pieces), vocab))
}

fn read_chars(file: &File, tokens: Tokens, specials: &Specials) -> Result<(Model, BytesMap)> {
    match part("pre_tokenizer", &file.pre_tokenizer)? {
        Some(PreTokenizer::Split { pattern: SplitPattern::Regex(regex), behavior, invert })
            if regex == ANY_CHAR && cuts_at_matches(&behavior, invert) => {}
        _ => {
            return Err(unsupported(format!(
                "pre_tokenizer: a WordLevel model without a Split at every character (`{ANY_CHAR}`)"
            )));
        }
    }
    match (&file.normalizer, part("decoder", &file.decoder)?) {
        (None, Some(Decoder::Fuse {})) => {}
        (Some(_), _) => return Err(unsupported("normalizer: a WordLevel model with a normalizer")),
        _ => return Err(unsupported("decoder: a WordLevel model without the decoder Fuse")),
    }
    let vocab = plain_vocab(tokens, specials)?;
    let unknown = file.model.unk_token.as_deref().unwrap_or_default();
    let unknown = specials.id_of(unknown).or_else(|| vocab.find(unknown.as_bytes()));
    Ok((Model::Char(Chars { unknown }), vocab))
}
