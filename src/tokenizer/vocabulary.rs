//! From tokens with their ids, as files give them, to a table that is dense by id.

use super::bytes_map::BytesMap;
use super::special::{SpecialToken, Specials};
use crate::error::{Error, Result};

/// Ids above this are refused: one hostile number must not reserve gigabytes.
const MAX_ID: u32 = 1 << 24;

/// Builds the table. Ids nobody has stay holes. `what` names the file in errors.
///
/// Errors on an id or a text given twice, and on ids above 2^24.
pub(super) fn build(
    what: &str,
    mut tokens: Vec<(Vec<u8>, u32)>,
    specials: &Specials,
) -> Result<BytesMap> {
    let wrong = |problem: String| {
        Error::malformed(what, problem, "take the file from its original source again")
    };
    tokens.sort_unstable_by_key(|(_, id)| *id);
    let mut vocab = BytesMap::default();
    let mut ordinary = tokens.into_iter().peekable();
    let mut special = specials.iter().peekable();
    loop {
        let next = match (ordinary.peek(), special.peek()) {
            (None, None) => return Ok(vocab),
            (Some((_, id)), None) => *id,
            (None, Some(token)) => token.id,
            (Some((_, id)), Some(token)) => token.id.min(*id),
        };
        if next > MAX_ID {
            return Err(wrong(format!("the id {next} is above the limit of {MAX_ID}")));
        }
        if (next as usize) < vocab.len() {
            return Err(wrong(format!("the id {next} is given to two tokens")));
        }
        while vocab.len() < next as usize {
            vocab.push_hole();
        }
        if let Some(SpecialToken { content, .. }) = special.next_if(|token| token.id == next) {
            vocab.push_hidden(content.as_bytes())?;
        } else if let Some((bytes, _)) = ordinary.next()
            && vocab.insert(&bytes)? != next
        {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(wrong(format!("the token {text:?} is given twice, once as id {next}")));
        }
    }
}
