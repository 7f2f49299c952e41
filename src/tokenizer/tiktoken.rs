//! tiktoken's vocabulary files: one base64 token and its rank per line.

use super::bpe::Bpe;
use super::bytes_map::BytesMap;
use super::pattern::Pattern;
use super::special::{SpecialToken, Specials};
use super::{ByteLevel, ByteLevelParts, Model, Tokenizer, vocabulary};
use crate::error::{Error, Result};

const WHAT: &str = "tiktoken vocabulary";
/// Maximum bytes of a token, since every split of a token is tried. The longest published token has 128.
const MAX_TOKEN: usize = 1024;

impl Tokenizer {
    /// Reads tiktoken's format (`r50k_base.tiktoken`, Llama 3's `tokenizer.model`). The pre-tokenization pattern and the
    /// special tokens with their ids are not in the file and must be given.
    ///
    /// # Errors
    /// Returns an error with the line number if a line is not base64, a space and a rank, and an error for duplicate ids or
    /// tokens.
    pub fn from_tiktoken(
        bytes: &[u8],
        pattern: Pattern,
        special_tokens: &[(String, u32)],
    ) -> Result<Self> {
        let mut tokens = Vec::new();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() {
                let token = parse_line(line).map_err(|problem| {
                    Error::malformed(
                        WHAT,
                        format!("line {}: {problem}", index + 1),
                        "each line must be a base64 token, a space and its rank",
                    )
                })?;
                tokens.push(token);
            }
        }
        if tokens.is_empty() {
            return Err(Error::malformed(WHAT, "it has no tokens", "download the file again"));
        }
        let specials = special_tokens.iter().map(|(content, id)| SpecialToken {
            content: content.clone(),
            id: *id,
            special: true,
            ..SpecialToken::default()
        });
        let specials = Specials::new(specials.collect())?;
        let vocab = vocabulary::build(WHAT, tokens, &specials)?;
        let merges = implied_merges(&vocab);
        let bpe = Bpe::new(&vocab, merges.into_iter(), true);
        let model =
            Model::Bpe(Box::new(ByteLevel { bpe, pattern, file: ByteLevelParts::default() }));
        Ok(Self::assemble(model, vocab, specials, None))
    }
}

fn parse_line(line: &[u8]) -> std::result::Result<(Vec<u8>, u32), String> {
    let space = line.iter().position(|&byte| byte == b' ').ok_or("there is no space")?;
    let token = decode_base64(&line[..space]).ok_or("the token is not base64")?;
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(format!("the token has {} bytes, not 1 to {MAX_TOKEN}", token.len()));
    }
    let rank = std::str::from_utf8(&line[space + 1..]).ok().and_then(|rank| rank.parse().ok());
    Ok((token, rank.ok_or("the rank is not a whole number below 2^32")?))
}

/// Returns the merges that tiktoken's ranks imply: two neighbours merge if their concatenation is a token, with its rank.
/// Each split of a token into two tokens is therefore a merge of that rank.
fn implied_merges(vocab: &BytesMap) -> Vec<(u32, u32, u32, u32)> {
    let mut merges = Vec::new();
    for (id, bytes) in vocab.iter().filter(|(id, bytes)| vocab.find(bytes) == Some(*id)) {
        for cut in 1..bytes.len() {
            let (left, right) = bytes.split_at(cut);
            if let (Some(left), Some(right)) = (vocab.find(left), vocab.find(right)) {
                merges.push((id, left, right, id));
            }
        }
    }
    merges
}

/// Decodes standard base64 with or without padding; `None` if it is malformed.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || digits.len() % 4 == 1 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | base64_value(digit)?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn base64_value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}
