//! Token shards: nanoGPT's headerless files and llm.c's files with a header.

use std::sync::Arc;

use super::{TokenWidth, Tokens};
use crate::error::{Error, Result};

/// llm.c's header: 256 little-endian 32-bit words, starting with magic number, version and token count.
pub const HEADER_BYTES: usize = 1024;
/// Magic number and version of shards with u16 tokens (`dev/data/data_common.py`).
const LLMC_GPT2: (u32, u32) = (20_240_520, 1);
/// Magic number and version of shards with u32 tokens.
const LLMC_LLAMA3: (u32, u32) = (20_240_801, 7);

/// Returns llm.c's header of a shard.
pub fn shard_header(width: TokenWidth, tokens: u32) -> [u8; HEADER_BYTES] {
    let (magic, version) = match width {
        TokenWidth::U16 => LLMC_GPT2,
        TokenWidth::U32 => LLMC_LLAMA3,
    };
    let mut header = [0; HEADER_BYTES];
    for (place, word) in header.chunks_exact_mut(4).zip([magic, version, tokens]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// Reads a shard from `bytes` without copying. The header of llm.c's files determines the token width; files without a
/// header have tokens of `width`. `name` names the file in errors.
///
/// # Errors
/// Returns an error if the file has fewer tokens than its header states, or if the length of a headerless file is not a
/// multiple of the token width.
pub fn parse_shard(
    name: &str,
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    width: TokenWidth,
) -> Result<Tokens> {
    let all = (*bytes).as_ref();
    let word = |index: usize| {
        all.get(4 * index..4 * index + 4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    let header = match (word(0), word(1)) {
        (Some(magic), Some(version)) if (magic, version) == LLMC_GPT2 => Some(TokenWidth::U16),
        (Some(magic), Some(version)) if (magic, version) == LLMC_LLAMA3 => Some(TokenWidth::U32),
        _ => None,
    };
    let Some(width) = header else {
        if !all.len().is_multiple_of(width.bytes()) {
            return Err(Error::malformed(
                name,
                format!("{} bytes are not a whole number of {width:?} tokens", all.len()),
                "set its `token_width` to u16 or u32, or create the file again",
            ));
        }
        let len = all.len() / width.bytes();
        return Ok(Tokens::from_bytes(bytes, width, 0, len));
    };
    let truncated = |problem: String| {
        Error::malformed(name, problem, "the file is truncated: create or copy it again")
    };
    let (Some(promised), Some(body)) = (word(2), all.len().checked_sub(HEADER_BYTES)) else {
        return Err(truncated(format!("its header ends after {} bytes", all.len())));
    };
    let promised = promised as usize;
    let actual = body / width.bytes();
    if promised > actual {
        let problem = format!("its header states {promised} tokens, but it has {actual}");
        return Err(truncated(problem));
    }
    Ok(Tokens::from_bytes(bytes, width, HEADER_BYTES, promised))
}
