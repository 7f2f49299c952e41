//! Character tokenizer: one token per character.

use super::bytes_map::BytesMap;
use crate::error::{Error, Result};

/// A vocabulary of characters.
#[derive(Clone)]
pub(super) struct Chars {
    /// Token of characters outside the vocabulary; without it they are errors.
    pub(super) unknown: Option<u32>,
}

impl Chars {
    /// Appends the tokens of a text.
    pub(super) fn encode(&self, vocab: &BytesMap, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut buffer = [0; 4];
        for c in text.chars() {
            let id = vocab.find(c.encode_utf8(&mut buffer).as_bytes()).or(self.unknown);
            ids.push(id.ok_or_else(|| Error::Unencodable {
                what: format!("the character {c:?} (U+{:04X})", c as u32),
            })?);
        }
        Ok(())
    }
}
