//! Reserves ids for special tokens that ordinary text cannot produce.

use super::byte_chars;
use super::bytes_map::BytesMap;
use super::kind::Kind;
use super::special::{SpecialToken, Specials};
use crate::error::{Error, Result};

/// Appends special tokens to the vocabulary.
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
        ..SpecialToken::default()
    });
    let specials = Specials::new(tokens.collect())?;
    for content in special_tokens {
        vocab.push_hidden(content.as_bytes())?;
    }
    Ok(specials)
}

/// Returns the ordinary tokens that `tokenizer.json` would spell like a special token.
pub(super) fn spelled(kind: Kind, special_tokens: &[String]) -> Vec<Vec<u8>> {
    match kind {
        Kind::Byte | Kind::Bpe => {
            special_tokens.iter().filter_map(|token| byte_chars::unspell(token)).collect()
        }
        _ => special_tokens.iter().map(|token| token.as_bytes().to_vec()).collect(),
    }
}

/// Returns an error if a special token is an ordinary token already, since ordinary text would then produce it.
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
            "use special tokens that do not occur in the text, such as `<|endoftext|>`",
        )),
    }
}
