//! Tokenizers in one word, as the command line and the page name them.

use super::{Kind, Tokenizer, TrainOptions};
use crate::error::{Error, Result};

/// Ends a document in vocabularies that can reserve a token for it, as GPT-2's does.
pub const END_OF_TEXT: &str = "<|endoftext|>";

impl TrainOptions {
    /// Reads `char`, `byte`, `bpe:N` or `wordpiece:N`, where `N` is the vocabulary's size.
    ///
    /// Subword vocabularies reserve [`END_OF_TEXT`].
    pub fn from_spec(spec: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            let problem = format!("`{spec}` {problem}");
            Error::config("tokenizer", problem, "use char, byte, bpe:N or wordpiece:N")
        };
        let (kind, size) = match spec.split_once(':') {
            None => (spec, None),
            Some((kind, size)) => {
                let size = size
                    .replace('_', "")
                    .parse()
                    .map_err(|_| wrong("has no size after the colon"))?;
                (kind, Some(size))
            }
        };
        let subword = |kind| {
            let vocab_size = size.ok_or_else(|| wrong("needs a vocabulary size"))?;
            let special_tokens = vec![END_OF_TEXT.to_string()];
            Ok(Self { kind, vocab_size, special_tokens, ..Self::default() })
        };
        match (kind, size) {
            ("char", None) => {
                Ok(Self { kind: Kind::Char, vocab_size: usize::MAX, ..Self::default() })
            }
            ("byte", None) => Ok(Self { kind: Kind::Byte, vocab_size: 256, ..Self::default() }),
            ("char" | "byte", Some(_)) => Err(wrong("takes no size")),
            ("bpe", _) => subword(Kind::Bpe),
            ("wordpiece", _) => subword(Kind::WordPiece),
            _ => Err(wrong("is no tokenizer")),
        }
    }
}

impl Tokenizer {
    /// The bytes of text that a token stands for: for bits per byte. Special tokens stand for none.
    pub fn text_bytes(&self, id: u32) -> usize {
        match self.token_bytes(id) {
            _ if self.is_special(id) => 0,
            None => 0,
            // A piece that continues a word is marked; any other has lost the space before it.
            Some(bytes) if self.kind() == Kind::WordPiece => {
                bytes.strip_prefix(b"##").map_or(bytes.len() + 1, <[u8]>::len)
            }
            Some(_) if self.kind() == Kind::SentencePiece => {
                let mut text = Vec::new();
                let written = self.append_bytes(id, false, &mut text);
                written.map_or(0, |()| text.len())
            }
            Some(bytes) => bytes.len(),
        }
    }

    /// The id of [`END_OF_TEXT`], if the vocabulary reserves it.
    pub fn end_of_text(&self) -> Option<u32> {
        self.special_tokens().find(|(token, _)| *token == END_OF_TEXT).map(|(_, id)| id)
    }
}
