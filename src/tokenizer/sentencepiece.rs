//! SentencePiece's BPE, as in Llama 2, Mistral and TinyLlama: merges characters, writes spaces as `▁` at the start of the
//! following word, and falls back to bytes for characters without a token.

use super::bpe::{Merges, Scratch};
use super::bytes_map::BytesMap;
use serde_json::Value;
use std::borrow::Cow;

/// Replacement of a space.
pub(super) const SPACE: char = '▁';

/// Positions at which a space is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// Nowhere.
    Never,
    /// At the start, unless the text starts with a space.
    First,
    /// At the start and after every special token, unless there is a space.
    Always,
    /// At the start and after every special token, even if there is a space (Llama 2).
    Another,
}

/// SentencePiece's encoder and decoder.
#[derive(Clone)]
pub(super) struct SentencePiece {
    merges: Merges,
    byte_ids: [u32; 256],
    opening: Opening,
    /// True if each space starts a new piece.
    split: bool,
    /// True if no token spans the start of a run of spaces, so that texts can be split there.
    cuts: bool,
    /// True if decoding removes the space before a text.
    strip: bool,
    pub(super) file: FileParts,
}

/// Parts of the file that are kept only for writing it.
#[derive(Clone, Default)]
pub(super) struct FileParts {
    pub(super) normalizer: Option<Value>,
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) decoder: Value,
    pub(super) unknown: Option<String>,
    pub(super) fuse_unknown: bool,
}

impl SentencePiece {
    /// Creates the encoder; see [`Merges::new`] for `merges`. Returns an error if a byte's token such as `<0x00>` is missing.
    pub(super) fn new(
        vocab: &BytesMap,
        merges: impl Iterator<Item = (u32, u32, u32, u32)>,
        (opening, split, strip): (Opening, bool, bool),
        file: FileParts,
    ) -> std::result::Result<Self, String> {
        let mut byte_ids = [0; 256];
        for (byte, id) in byte_ids.iter_mut().enumerate() {
            let name = format!("<0x{byte:02X}>");
            *id = vocab.find(name.as_bytes()).ok_or(format!("the byte token {name} is missing"))?;
        }
        let cuts = !vocab.iter().any(|(_, token)| {
            let text = String::from_utf8_lossy(token);
            text.trim_start_matches(SPACE).contains(SPACE)
        });
        Ok(Self { merges: Merges::new(merges), byte_ids, opening, split, cuts, strip, file })
    }

    pub(super) fn merges(&self) -> &Merges {
        &self.merges
    }

    /// Applies the file's normalizer: Llama 2's adds a space before the text and replaces spaces by `▁`.
    pub(super) fn normalize<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.file.normalizer.is_none() || text.is_empty() {
            return text.into();
        }
        let mut normal = String::with_capacity(text.len() + text.len() / 2);
        normal.extend((self.opening == Opening::Another).then_some(SPACE));
        normal.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        normal.into()
    }

    /// Appends the tokens of a normalized text. `first` is false for a text after a special token.
    pub(super) fn encode(
        &self,
        vocab: &BytesMap,
        text: &str,
        first: bool,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) {
        if text.is_empty() {
            return;
        }
        let has_one = text.starts_with([' ', SPACE]);
        let opened = match self.opening {
            // The normalizer has added it.
            Opening::Never | Opening::Another => false,
            Opening::First => first && !has_one,
            Opening::Always => !has_one,
        };
        let opening = opened.then_some(SPACE);
        let mut symbols = Vec::new();
        let mut previous = None;
        for c in opening.into_iter().chain(text.chars()) {
            let c = if c == ' ' { SPACE } else { c };
            let begins = c == SPACE && (self.split || self.cuts && previous != Some(SPACE));
            if begins {
                self.merges.apply(symbols.drain(..), scratch, ids);
            }
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            match vocab.find(bytes) {
                Some(id) => symbols.push(id),
                None => symbols.extend(bytes.iter().map(|byte| self.byte_ids[*byte as usize])),
            }
            previous = Some(c);
        }
        self.merges.apply(symbols.drain(..), scratch, ids);
    }

    /// Appends the bytes of a token; `first` is true for the first token of a text.
    pub(super) fn decode(&self, token: &[u8], first: bool, out: &mut Vec<u8>) {
        if let Some(byte) = byte_of(token) {
            return out.push(byte);
        }
        let text = String::from_utf8_lossy(token).replace(SPACE, " ");
        let text =
            if first && self.strip { text.strip_prefix(' ').unwrap_or(&text) } else { &text };
        out.extend_from_slice(text.as_bytes());
    }
}

/// Returns the byte of a token such as `<0x0A>`.
fn byte_of(token: &[u8]) -> Option<u8> {
    let digits = token.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}
