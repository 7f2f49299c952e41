//! Reads a `BPE` model with byte fallback: SentencePiece's BPE as converted by transformers.

use super::parts::{Tokens, part, plain_vocab, ranked_merges};
use super::schema::{Decoder, File, Normalizer, PreTokenizer, PrependScheme, SplitPattern};
use super::{broken, unsupported};
use crate::error::Result;
use crate::tokenizer::Model;
use crate::tokenizer::bytes_map::BytesMap;
use crate::tokenizer::sentencepiece::{FileParts, Opening, SPACE, SentencePiece};
use crate::tokenizer::special::Specials;

pub(super) fn read(file: &File, tokens: Tokens, specials: &Specials) -> Result<(Model, BytesMap)> {
    let (opening, split) = read_opening(file)?;
    let strip = read_strip(part("decoder", &file.decoder)?)?;
    if file.model.ignore_merges == Some(true) {
        return Err(unsupported("model: ignore_merges with byte_fallback"));
    }
    let merges = ranked_merges(file, &tokens, specials)?;
    let vocab = plain_vocab(tokens, specials)?;
    let parts = FileParts {
        normalizer: file.normalizer.clone(),
        pre_tokenizer: file.pre_tokenizer.clone(),
        decoder: file.decoder.clone().unwrap_or_default(),
        unknown: file.model.unk_token.clone(),
        fuse_unknown: file.model.fuse_unk == Some(true),
    };
    let pieces = SentencePiece::new(&vocab, merges.into_iter(), (opening, split, strip), parts)
        .map_err(|problem| broken(format!("model: {problem}")))?;
    Ok((Model::SentencePiece(Box::new(pieces)), vocab))
}

/// Reads where a space is added before a text, and whether each space starts a piece.
fn read_opening(file: &File) -> Result<(Opening, bool)> {
    let normalizer = part("normalizer", &file.normalizer)?;
    let pre_tokenizer = part("pre_tokenizer", &file.pre_tokenizer)?;
    match (normalizer, pre_tokenizer) {
        (Some(normalizer), None) => match normalizer {
            Normalizer::Sequence { normalizers } => match normalizers.as_slice() {
                [Normalizer::Prepend { prepend }, replace]
                    if is_space(prepend) && marks_spaces(replace) =>
                {
                    Ok((Opening::Another, false))
                }
                [replace] if marks_spaces(replace) => Ok((Opening::Never, false)),
                _ => Err(unsupported("normalizer: a Sequence that is not Llama 2's")),
            },
            replace if marks_spaces(&replace) => Ok((Opening::Never, false)),
            _ => Err(unsupported("normalizer: with byte_fallback only Llama 2's is supported")),
        },
        (
            None,
            Some(PreTokenizer::Metaspace {
                replacement,
                prepend_scheme,
                add_prefix_space,
                split,
                ..
            }),
        ) if is_space(&replacement) => {
            let opening = match prepend_scheme {
                _ if add_prefix_space == Some(false) => Opening::Never,
                PrependScheme::Never => Opening::Never,
                PrependScheme::First => Opening::First,
                PrependScheme::Always => Opening::Always,
            };
            Ok((opening, split))
        }
        _ => Err(unsupported(
            "pre_tokenizer: with byte_fallback only Llama 2's normalizer or Metaspace is supported",
        )),
    }
}

fn is_space(text: &str) -> bool {
    text.chars().eq([SPACE])
}

/// Returns true if a normalizer replaces every space by `▁`.
fn marks_spaces(normalizer: &Normalizer) -> bool {
    matches!(
        normalizer,
        Normalizer::Replace { pattern: SplitPattern::String(from), content } if from == " " && is_space(content)
    )
}

/// Reads whether decoding removes the first space of a text.
fn read_strip(decoder: Option<Decoder>) -> Result<bool> {
    use Decoder::*;
    let problem = || unsupported("decoder: with byte_fallback only Llama 2's is supported");
    let Some(Sequence { decoders }) = decoder else { return Err(problem()) };
    let [
        Replace { pattern: SplitPattern::String(from), content: to },
        ByteFallback {},
        Fuse {},
        rest @ ..,
    ] = decoders.as_slice()
    else {
        return Err(problem());
    };
    if !is_space(from) || to != " " {
        return Err(problem());
    }
    match rest {
        [] => Ok(false),
        [Strip { content, start: 1, stop: 0 }] if content == " " => Ok(true),
        _ => Err(problem()),
    }
}
