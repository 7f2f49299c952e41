//! Token shards: nanoGPT's headerless files and llm.c's with a header.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Tokens;
use crate::error::{Error, Result};

/// How wide one token is in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// 16 bits, little-endian: vocabularies up to 65,536.
    U16,
    /// 32 bits, little-endian.
    U32,
}

impl TokenWidth {
    /// Bytes of one token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// llm.c's header: 256 little-endian words, of which magic, version and token count are used.
const HEADER_BYTES: usize = 1024;
/// `dev/data/data_common.py`: GPT-2 shards hold u16, Llama-3 shards u32.
const LLMC_GPT2: (u32, u32) = (20_240_520, 1);
const LLMC_LLAMA3: (u32, u32) = (20_240_801, 7);

/// Reads a shard over `bytes`. Files that start with llm.c's header say their own width; any other is
/// taken as headerless tokens of `width`.
///
/// # Errors
/// A header that promises more tokens than there are; a headerless file of a broken length.
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
                "give its token width with --token-width u16|u32, or write it anew",
            ));
        }
        let len = all.len() / width.bytes();
        return Ok(Tokens::from_bytes(bytes, width, 0, len));
    };
    let truncated = |problem: String| {
        Error::malformed(name, problem, "the file is truncated: write or copy it anew")
    };
    let (Some(promised), Some(body)) = (word(2), all.len().checked_sub(HEADER_BYTES)) else {
        return Err(truncated(format!("its header ends after {} bytes", all.len())));
    };
    let (promised, there) = (promised as usize, body / width.bytes());
    if promised > there {
        let problem = format!("its header promises {promised} tokens, but it holds {there}");
        return Err(truncated(problem));
    }
    Ok(Tokens::from_bytes(bytes, width, HEADER_BYTES, promised))
}
