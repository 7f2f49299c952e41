//! What a vocabulary gains (fewer tokens) and costs (wider embedding and head).

use super::Tokenizer;
use crate::error::Result;
use serde::Serialize;

/// A vocabulary measured on a text, with its price in a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VocabularyReport {
    /// Ids there are ([`Tokenizer::vocab_size`]).
    pub vocab_size: usize,
    /// Bytes of the text measured, as UTF-8.
    pub text_bytes: usize,
    /// Tokens that the text becomes.
    pub text_tokens: usize,
    /// Bytes of text that one token carries on average; 0 for an empty text.
    pub bytes_per_token: f64,
    /// Weights of the embedding: `vocab_size * hidden_size`.
    pub embedding_parameters: u64,
    /// Weights of the head: as many again, or none if tied to the embedding.
    pub head_parameters: u64,
    /// Memory of both, in bytes.
    pub parameter_bytes: u64,
}

impl Tokenizer {
    /// Measures this vocabulary on `text`, for a model of width `hidden_size` whose weights take
    /// `bytes_per_value` bytes each (4 for f32) and whose head is `tied` to the embedding or not.
    ///
    /// Errors as [`Tokenizer::encode`] does.
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
