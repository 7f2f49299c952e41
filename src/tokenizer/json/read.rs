//! Reading `tokenizer.json`.

use super::parts::{Tokens, part, plain_vocab, ranked_merges, read_specials, require_plain_bpe};
use super::schema::{Decoder, File, Normalizer, PreTokenizer, SplitPattern};
use super::{ANY_CHAR, PostProcessor, WHAT, broken, sentencepiece, unsupported};
use crate::error::{Error, Result, json_problem};
use crate::tokenizer::bpe::Bpe;
use crate::tokenizer::bytes_map::BytesMap;
use crate::tokenizer::chars::Chars;
use crate::tokenizer::normal_form::NormalForm;
use crate::tokenizer::pattern::Pattern;
use crate::tokenizer::special::Specials;
use crate::tokenizer::wordpiece::{MAX_CHARS, MAX_PIECE, PREFIX, UNKNOWN, WordPiece};
use crate::tokenizer::{ByteLevel, ByteLevelParts, Model, Tokenizer, byte_chars, vocabulary};
use serde_json::Value;

impl Tokenizer {
    /// Reads Hugging Face's `tokenizer.json`: byte-level BPE with the patterns of GPT-2, GPT-4, GPT-4o, Llama 3, Qwen 2 or SmolLM,
    /// SentencePiece's BPE as in Llama 2, BERT's WordPiece, and every file of [`Self::to_json`]. Ignores `truncation` and
    /// `padding`.
    ///
    /// # Errors
    /// Returns an error that names the first part of the file that is inconsistent or not supported. No setting that affects
    /// encoding is ignored.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::NotUtf8 { what: WHAT.into(), offset: error.valid_up_to() })?;
        let mut file: File = serde_json::from_str(text).map_err(|error| {
            Error::malformed(
                WHAT,
                json_problem(&error),
                "download the file again from its original source, or save it again with tokenizers",
            )
        })?;
        let Some(tokens) = file.model.vocab.0.take() else {
            let kind = file.model.kind.as_deref().unwrap_or("with a list for a vocabulary");
            return Err(unsupported(format!("model: unknown type {kind}")));
        };
        let guess = if file.model.merges.is_some() { "BPE" } else { "WordPiece" };
        let kind = file.model.kind.clone().unwrap_or_else(|| guess.into());
        for (part, list) in [
            (&mut file.normalizer, "normalizers"),
            (&mut file.pre_tokenizer, "pretokenizers"),
            (&mut file.decoder, "decoders"),
        ] {
            unwrap_sequence(part, list);
        }
        let specials = read_specials(&file.added_tokens, &tokens)?;
        let (model, vocab) = match kind.as_str() {
            "BPE" if file.model.byte_fallback == Some(true) => {
                require_plain_bpe(&file.model)?;
                sentencepiece::read(&file, tokens, &specials)?
            }
            "BPE" => read_bpe(&file, tokens, &specials)?,
            "WordPiece" => read_wordpiece(&file, tokens, &specials)?,
            "WordLevel" => read_chars(&file, tokens, &specials)?,
            other => return Err(unsupported(format!("model: unknown type `{other}`"))),
        };
        let post =
            file.post_processor.map(|raw| PostProcessor::new(raw, |id| vocab.get(id).is_some()));
        Ok(Self::assemble(model, vocab, specials, post.transpose()?))
    }
}

/// Replaces a `Sequence` of one part by that part, and one of none by nothing.
fn unwrap_sequence(part: &mut Option<Value>, list: &str) {
    while let Some(parts) = part.as_ref().filter(|part| part["type"] == "Sequence")
        && let Some(parts @ ([] | [_])) = parts[list].as_array().map(Vec::as_slice)
    {
        *part = parts.first().cloned();
    }
}

fn read_bpe(file: &File, tokens: Tokens, specials: &Specials) -> Result<(Model, BytesMap)> {
    let model = &file.model;
    require_plain_bpe(model)?;
    let normalizer = file.normalizer.as_ref().map(|normalizer| {
        NormalForm::from_json(normalizer).ok_or_else(|| {
            let kind = normalizer["type"].as_str().unwrap_or("without a type");
            unsupported(format!("normalizer: a BPE model with the normalizer {kind}"))
        })
    });
    let normalizer = normalizer.transpose()?;
    match part("decoder", &file.decoder)? {
        Some(Decoder::ByteLevel { .. }) => {}
        _ => return Err(unsupported("decoder: a BPE model without the decoder ByteLevel")),
    }
    let pre_tokenizer = part("pre_tokenizer", &file.pre_tokenizer)?;
    let add_prefix_space =
        matches!(pre_tokenizer, Some(PreTokenizer::ByteLevel { add_prefix_space: true, .. }));
    let pattern = read_pattern(pre_tokenizer)?;

    let merges = ranked_merges(file, &tokens, specials)?;
    let mut ordinary = Vec::with_capacity(tokens.len());
    for (text, id) in tokens.into_iter().filter(|(text, _)| specials.id_of(text).is_none()) {
        let bytes = byte_chars::unspell(&text).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| {
            unsupported(format!("model: the token {text:?} (id {id}) is not spelled in bytes"))
        })?;
        ordinary.push((bytes, id));
    }
    let is_bytes = ordinary.len() == 256
        && ordinary.iter().all(|(bytes, id)| bytes.len() == 1 && *id == u32::from(bytes[0]));
    let vocab = vocabulary::build(WHAT, ordinary, specials)?;
    if is_bytes && merges.is_empty() && normalizer.is_none() && !add_prefix_space {
        return Ok((Model::Byte, vocab));
    }
    let bpe = Bpe::new(&vocab, merges.into_iter(), model.ignore_merges == Some(true));
    let pattern = match pattern {
        Some(pattern) => pattern,
        // Without merges the pieces do not matter.
        None if bpe.merges().is_empty() && !bpe.ignore_merges => Pattern::Gpt2,
        None => return Err(unsupported("pre_tokenizer: a ByteLevel that does not split the text")),
    };
    let unknown = model.unk_token.clone().filter(|text| !text.is_empty());
    let bpe = bpe.with_unknown(
        unknown.as_ref().and_then(|text| {
            let ordinary = byte_chars::unspell(text).and_then(|bytes| vocab.find(&bytes));
            specials.id_of(text).or(ordinary)
        }),
        model.fuse_unk == Some(true),
    );
    let file = ByteLevelParts { unknown, normalizer, add_prefix_space };
    Ok((Model::Bpe(Box::new(ByteLevel { bpe, pattern, file })), vocab))
}

/// Reads the pattern of a byte-level pre-tokenizer; `None` if it does not split text.
fn read_pattern(pre_tokenizer: Option<PreTokenizer>) -> Result<Option<Pattern>> {
    use PreTokenizer::*;
    let prefix = || unsupported("pre_tokenizer: ByteLevel with add_prefix_space");
    match pre_tokenizer {
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
                    "pre_tokenizer: the regex `{regex}` is not that of GPT-2, GPT-4, GPT-4o, Llama 3 or Qwen 2"
                ))),
            },
            _ => Err(unsupported(
                "pre_tokenizer: a Sequence that is not one Split by regex, or Digits, and one ByteLevel",
            )),
        },
        _ => Err(unsupported("pre_tokenizer: a BPE model without ByteLevel")),
    }
}

/// Returns true if the matches of a `Split` are the pieces, which can be written in two ways.
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
    let longest = model.max_input_chars_per_word.unwrap_or(MAX_CHARS);
    let pieces = WordPiece::new(&vocab, normalizer, prefix, unknown, longest, cleanup);
    let longest = pieces.longest_piece();
    if longest > MAX_PIECE {
        return Err(unsupported(format!(
            "model: a WordPiece token of {longest} bytes, with max_input_chars_per_word above {}",
            MAX_PIECE / 4
        )));
    }
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
    // It would decode to nothing, and an empty `unk_token` stands for none.
    if let Some(id) = vocab.find(b"") {
        return Err(broken(format!("model: the token with id {id} is empty, not a character")));
    }
    let unknown = file.model.unk_token.as_deref().unwrap_or_default();
    let unknown = specials.id_of(unknown).or_else(|| vocab.find(unknown.as_bytes()));
    Ok((Model::Char(Chars { unknown }), vocab))
}
