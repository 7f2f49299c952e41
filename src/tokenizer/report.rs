//! Trade-off of a vocabulary: fewer tokens against a larger embedding and head.

use super::Tokenizer;
use crate::error::Result;
use serde::Serialize;

/// Compression of a vocabulary on a text and its cost in a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VocabularyReport {
    /// [`Tokenizer::vocab_size`].
    pub vocab_size: usize,
    /// UTF-8 bytes of the text.
    pub text_bytes: usize,
    /// Tokens of the text.
    pub text_tokens: usize,
    /// Mean bytes per token; 0 for an empty text.
    pub bytes_per_token: f64,
    /// Parameters of the embedding: `vocab_size * hidden_size`.
    pub embedding_parameters: u64,
    /// Parameters of the head; 0 if it is tied to the embedding.
    pub head_parameters: u64,
    /// Memory of embedding and head in bytes.
    pub parameter_bytes: u64,
}

impl Tokenizer {
    /// Measures the vocabulary on `text` for a model of width `hidden_size` with `bytes_per_value` bytes per weight (4 for
    /// f32). `tied` is true if the head shares the embedding's weights.
    ///
    /// # Errors
    /// Returns the errors of [`Tokenizer::encode`].
    pub fn report(
        &self,
        text: &str,
        hidden_size: usize,
        tied: bool,
        bytes_per_value: usize,
    ) -> Result<VocabularyReport> {
        let text_tokens = self.encode(text)?.len();
        let embedding_parameters = (self.vocab_size() as u64).saturating_mul(hidden_size as u64);
        let head_parameters = if tied { 0 } else { embedding_parameters };
        Ok(VocabularyReport {
            vocab_size: self.vocab_size(),
            text_bytes: text.len(),
            text_tokens,
            bytes_per_token: text.len() as f64 / text_tokens.max(1) as f64,
            embedding_parameters,
            head_parameters,
            parameter_bytes: (embedding_parameters + head_parameters)
                .saturating_mul(bytes_per_value as u64),
        })
    }
}
