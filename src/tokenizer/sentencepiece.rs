//! SentencePiece's BPE, as Llama 2, Mistral and TinyLlama have it: characters are merged, spaces are `▁` and
//! belong to the word that follows, and characters without a token are spelled in bytes.

use super::bpe::{Merges, Scratch};
use super::bytes_map::BytesMap;
use serde_json::Value;

/// What stands for a space.
pub(super) const SPACE: char = '▁';

/// Where a text gets a space before it that it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opening {
    /// Nowhere.
    Never,
    /// At its beginning, unless there is one.
    First,
    /// The same, and after every special token.
    Always,
    /// After every special token and at the beginning, also where there is one: Llama 2.
    Another,
}

/// How text is cut, merged and put together again.
#[derive(Clone)]
pub(super) struct SentencePiece {
    merges: Merges,
    byte_ids: [u32; 256],
    opening: Opening,
    /// Whether each space begins a piece of its own.
    split: bool,
    /// Whether nothing merges across the beginning of a run of spaces, so that texts may be cut there.
    cuts: bool,
    /// Whether the space before a whole text is taken away in decoding.
    strip: bool,
    pub(super) file: FileParts,
}

/// What is kept for the file only.
#[derive(Clone, Default)]
pub(super) struct FileParts {
    pub(super) normalizer: Option<Value>,
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) decoder: Value,
    pub(super) unknown: Option<String>,
    pub(super) fuse_unknown: bool,
}

impl SentencePiece {
    /// `merges` are those of [`Merges::new`]. Errors if a byte has no token `<0x00>`.
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

    /// Appends the tokens of a text, which is the `first` of its kind or stands after a special token.
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
            Opening::Never => false,
            Opening::First => first && !has_one,
            Opening::Always => !has_one,
            Opening::Another => true,
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

    /// Appends what a token adds to a text, which is `first` in it or not.
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

/// The byte that a token such as `<0x0A>` stands for.
fn byte_of(token: &[u8]) -> Option<u8> {
    let digits = token.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 2)?;
    u8::from_str_radix(digits, 16).ok()
}
