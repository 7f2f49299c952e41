//! Decoding one token at a time, for text that is shown while it is generated.

use super::Tokenizer;
use crate::error::Result;

/// Turns tokens into text as they come. What it gives out, joined, is what
/// [`Tokenizer::decode`] gives for all of them: it never gives out part of a character.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    /// At most three bytes between calls: the beginning of a character.
    pending: Vec<u8>,
    first: bool,
}

impl StreamDecoder {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), first: true }
    }

    /// The text that this token completes; empty if it ends inside a character.
    /// Bytes that can never become UTF-8 turn into U+FFFD.
    ///
    /// Errors if the id is not in the vocabulary; the decoder stays usable.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.tokenizer.append_bytes(id, self.first, &mut self.pending)?;
        self.first = false;
        let mut text = String::new();
        let rest = self.tokenizer.marks().append_text(&self.pending, &mut text);
        self.pending.drain(..self.pending.len() - rest);
        Ok(text)
    }

    /// The text that this token would complete, if it came next; none if it ends inside a character, whose text
    /// the token after it decides.
    ///
    /// # Errors
    /// If the id is not in the vocabulary.
    pub fn peek(&self, id: u32) -> Result<Option<String>> {
        let mut next = self.clone();
        let text = next.push(id)?;
        Ok(next.pending.is_empty().then_some(text))
    }

    /// What is left when no more tokens come: nothing, or U+FFFD for a character cut short.
    /// The decoder is then ready for another text.
    pub fn finish(&mut self) -> String {
        self.first = true;
        let mut text = String::new();
        self.tokenizer.marks().append(self.pending.len(), &mut text);
        self.pending.clear();
        text
    }
}
