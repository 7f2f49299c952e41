//! Tokens in the form that the page shows.

use std::fmt::Write;

use crate::protocol::{Candidate, Token};
use crate::sample::Prediction;
use crate::tokenizer::Tokenizer;

/// Returns a token as text. Bytes that are not UTF-8 on their own are written as `\xNN`; an id that the tokenizer lacks has
/// no text.
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

/// Returns tokens as text; see [`token`].
pub fn tokens(tokenizer: &Tokenizer, ids: impl IntoIterator<Item = u32>) -> Vec<Token> {
    ids.into_iter().map(|id| token(tokenizer, id)).collect()
}

/// Returns the probabilities of some tokens: the model's, and those with which the sampler draws them.
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
