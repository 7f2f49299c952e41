//! Streaming decoder for text that is shown while it is generated.

use super::Tokenizer;
use crate::error::Result;

/// Decodes tokens one at a time. Returns only complete characters; the concatenated output equals [`Tokenizer::decode`] of
/// all tokens.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    /// Incomplete character, at most three bytes between calls.
    pending: Vec<u8>,
    first: bool,
}

impl StreamDecoder {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), first: true }
    }

    /// Decodes the next token. Returns the text that it completes, which is empty if the token ends inside a character.
    /// Invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// Returns an error if the id is not in the vocabulary. The decoder stays usable.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.tokenizer.append_bytes(id, self.first, &mut self.pending)?;
        self.first = false;
        let mut text = String::new();
        let rest = self.tokenizer.replacement().append_text(&self.pending, &mut text);
        self.pending.drain(..self.pending.len() - rest);
        Ok(text)
    }

    /// Returns the text that a token would complete if it came next; none if the token ends inside a character.
    ///
    /// # Errors
    /// Returns an error if the id is not in the vocabulary.
    pub fn peek(&self, id: u32) -> Result<Option<String>> {
        let mut next = self.clone();
        let text = next.push(id)?;
        Ok(next.pending.is_empty().then_some(text))
    }

    /// Ends the text: returns U+FFFD for an incomplete character, else an empty string. The decoder is then ready for
    /// another text.
    pub fn finish(&mut self) -> String {
        self.first = true;
        let mut text = String::new();
        self.tokenizer.replacement().append(self.pending.len(), &mut text);
        self.pending.clear();
        text
    }
}

impl Tokenizer {
    /// Creates a streaming decoder.
    pub fn stream_decoder(&self) -> StreamDecoder {
        StreamDecoder::new(self.clone())
    }
}
