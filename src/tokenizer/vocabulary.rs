//! Builds a vocabulary from the tokens and ids of a file.

use super::bytes_map::BytesMap;
use super::special::{SpecialToken, Specials};
use crate::error::{Error, Result};

/// Maximum id, so that a hostile file cannot allocate gigabytes.
const MAX_ID: u32 = 1 << 24;
/// Maximum number of ids without a token. Each takes memory, but nothing in the file.
const MAX_UNUSED: usize = 1 << 20;

/// Builds the vocabulary. `what` names the file in errors.
///
/// # Errors
/// Returns an error for duplicate ids or tokens, for ids above 2^24, and for more than 2^20 unused ids.
pub(super) fn build(
    what: &str,
    mut tokens: Vec<(Vec<u8>, u32)>,
    specials: &Specials,
) -> Result<BytesMap> {
    let wrong = |problem: String| {
        Error::malformed(what, problem, "download the file again from its original source")
    };
    tokens.sort_unstable_by_key(|(_, id)| *id);
    let mut vocab = BytesMap::default();
    let mut ordinary = tokens.into_iter().peekable();
    let mut special = specials.iter().peekable();
    let mut unused = 0;
    loop {
        let next = match (ordinary.peek(), special.peek()) {
            (None, None) => return Ok(vocab),
            (Some((_, id)), None) => *id,
            (None, Some(token)) => token.id,
            (Some((_, id)), Some(token)) => token.id.min(*id),
        };
        if next > MAX_ID {
            return Err(wrong(format!("the id {next} exceeds the maximum of {MAX_ID}")));
        }
        if (next as usize) < vocab.len() {
            return Err(wrong(format!("two tokens have the id {next}")));
        }
        let gap = next as usize - vocab.len();
        unused += gap;
        if unused > MAX_UNUSED {
            return Err(wrong(format!(
                "the ids up to {next} leave {unused} without a token, more than {MAX_UNUSED}"
            )));
        }
        (0..gap).for_each(|_| vocab.push_hole());
        if let Some(SpecialToken { content, .. }) = special.next_if(|token| token.id == next) {
            vocab.push_hidden(content.as_bytes())?;
        } else if let Some((bytes, _)) = ordinary.next()
            && vocab.insert(&bytes)? != next
        {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(wrong(format!("the token {text:?} occurs twice, once with the id {next}")));
        }
    }
}
