//! Tokens in the form in which the page shows them.

use std::fmt::Write;

use crate::protocol::{Candidate, Token};
use crate::sample::Prediction;
use crate::tokenizer::Tokenizer;

/// A token as people see it. Bytes that are no text alone stand as `\xNN`; an id that the tokenizer does not
/// have has no text.
pub fn token(tokenizer: &Tokenizer, id: u32) -> Token {
    let mut text = String::new();
    for chunk in tokenizer.token_bytes(id).unwrap_or_default().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02X}").expect("a string takes all");
        }
    }
    Token { id, text }
}

/// Tokens as people see them.
pub fn tokens(tokenizer: &Tokenizer, ids: impl IntoIterator<Item = u32>) -> Vec<Token> {
    ids.into_iter().map(|id| token(tokenizer, id)).collect()
}

/// What a prediction says of some tokens, and how a sampler draws them.
pub fn candidates(
    tokenizer: &Tokenizer,
    prediction: &Prediction,
    ids: impl IntoIterator<Item = u32>,
) -> Vec<Candidate> {
    let candidate = |id| Candidate {
        token: token(tokenizer, id),
        probability: prediction.probability(id) as f32,
        drawn: prediction.sampling_probability(id) as f32,
    };
    ids.into_iter().map(candidate).collect()
}
