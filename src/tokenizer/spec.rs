//! Tokenizer specifications such as `bpe:8192`, used by the command line and the page.

use super::{Kind, Tokenizer, TrainOptions};
use crate::error::{Error, Result};

/// Special token that ends a document, as in GPT-2.
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// Names of the special token that ends a document, in published tokenizers.
const ENDS: [&str; 3] = [END_OF_TEXT, "<|end_of_text|>", "</s>"];

impl TrainOptions {
    /// Parses `char`, `byte`, `bpe:N` or `wordpiece:N` with the vocabulary size `N`. Subword vocabularies reserve
    /// [`END_OF_TEXT`].
    ///
    /// # Errors
    /// Returns an error for any other specification.
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
                    .map_err(|_| wrong("has no number after the colon"))?;
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
            _ => Err(wrong("is not a tokenizer")),
        }
    }
}

impl Tokenizer {
    /// Returns the number of text bytes that a token represents, for bits per byte; 0 for special tokens.
    pub fn text_bytes(&self, id: u32) -> usize {
        match self.token_bytes(id) {
            _ if self.is_special(id) => 0,
            None => 0,
            // A token that does not continue a word represents the space before it too.
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

    /// Returns the id of the special token that ends a document, by its usual names ([`END_OF_TEXT`], Llama's
    /// `<|end_of_text|>` and `</s>`), or else the token with which the post-processor ends every text.
    pub fn end_of_text(&self) -> Option<u32> {
        let named = |name: &&str| self.special_tokens().find(|(token, _)| token == name);
        ENDS.iter().find_map(named).map(|(_, id)| id).or(self.eos())
    }
}
