//! Pre-tokenization: splits text into the pieces within which BPE merges.
//!
//! The published regular expressions are implemented as hand-written scanners, which are faster than a regex engine.
//! Comments quote the alternatives of the expressions.

use super::unicode::{Class, class_at, run_end};
use serde::{Deserialize, Serialize};

/// Published regular expression for pre-tokenization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// GPT-2: separates contractions, letters, digits and other characters, each with up to one leading space.
    #[default]
    Gpt2,
    /// GPT-4, in tiktoken's current version: groups of up to three digits, separate newlines, one punctuation mark may
    /// start a word, and white space at the end of the text is one piece.
    Cl100k,
    /// Llama 3: like [`Pattern::Cl100k`] except for white space at the end of the text.
    Llama3,
    /// SmolLM: single digits, and [`Pattern::Gpt2`] between them.
    SmolLm,
}

/// GPT-2's expression, as in the `ByteLevel` pre-tokenizer of `tokenizers`.
pub(super) const GPT2_REGEX: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// GPT-4's expression without possessive quantifiers and `$`, whose meanings differ between the two regex engines that
/// `tokenizers` can use.
pub(super) const CL100K_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Llama 3's expression, as published.
pub(super) const LLAMA3_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Expressions in published files with the equivalent pattern.
const SPELLINGS: [(&str, Pattern); 7] = [
    (GPT2_REGEX, Pattern::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Pattern::Gpt2),
    (CL100K_REGEX, Pattern::Cl100k),
    (LLAMA3_REGEX, Pattern::Llama3),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (
        r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
];

impl Pattern {
    /// Returns the pattern that is equivalent to a file's regular expression.
    pub(super) fn from_regex(regex: &str) -> Option<Self> {
        SPELLINGS.iter().find(|(spelling, _)| *spelling == regex).map(|(_, pattern)| *pattern)
    }

    /// Returns the expression for `tokenizer.json`. SmolLM's digits are a separate pre-tokenizer there.
    pub(super) fn regex(self) -> &'static str {
        match self {
            Self::Gpt2 | Self::SmolLm => GPT2_REGEX,
            Self::Cl100k => CL100K_REGEX,
            Self::Llama3 => LLAMA3_REGEX,
        }
    }

    /// Splits `text` into pieces. Their concatenation is the text.
    pub fn split(self, text: &str) -> impl Iterator<Item = &str> {
        let mut pieces = self.pieces(text);
        std::iter::from_fn(move || {
            let start = pieces.at;
            pieces.next().map(|_| &text[start..pieces.at])
        })
    }

    /// Splits `text` into pieces as bytes.
    pub(super) fn pieces(self, text: &str) -> Pieces<'_> {
        Pieces { pattern: self, text, at: 0, digit: 0 }
    }
}

/// Iterator over the pieces of a text.
pub(super) struct Pieces<'a> {
    pattern: Pattern,
    text: &'a str,
    at: usize,
    /// For [`Pattern::SmolLm`]: position of the next digit.
    digit: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (class, length) = class_at(self.text, self.at)?;
        let start = self.at;
        self.at = match self.pattern {
            Pattern::Gpt2 => gpt2_end(self.text, start, class, length),
            Pattern::Cl100k => cl100k_end(self.text, start, class, length, true),
            Pattern::Llama3 => cl100k_end(self.text, start, class, length, false),
            Pattern::SmolLm if class == Class::Number => start + length,
            Pattern::SmolLm => {
                if self.digit <= start {
                    self.digit = next_digit(self.text, start + length);
                }
                gpt2_end(&self.text[..self.digit], start, class, length)
            }
        };
        Some(&self.text.as_bytes()[start..self.at])
    }
}

/// Returns the position of the first `\p{N}` at or after `at`, or the end of the text.
fn next_digit(text: &str, mut at: usize) -> usize {
    while let Some((class, length)) = class_at(text, at) {
        if class == Class::Number {
            break;
        }
        at += length;
    }
    at
}

/// Returns the end of the piece that starts at `at` by GPT-2's pattern.
#[inline]
fn gpt2_end(text: &str, at: usize, class: Class, length: usize) -> usize {
    let bytes = text.as_bytes();
    if bytes[at] == b'\'' {
        match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(b's' | b't' | b'm' | b'd'), _) => return at + 2,
            (Some(b'r' | b'v'), Some(b'e')) | (Some(b'l'), Some(b'l')) => return at + 3,
            _ => {}
        }
    }
    // ` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+`
    if bytes[at] == b' ' {
        if let Some((next, length)) = class_at(text, at + 1)
            && next != Class::Space
        {
            return run_end(text, at + 1 + length, next);
        }
    } else if class != Class::Space {
        return run_end(text, at + length, class);
    }
    spaces_end(text, at, length)
}

/// Returns the end of the piece that starts at `at` by cl100k's or Llama 3's pattern.
#[inline]
fn cl100k_end(text: &str, at: usize, class: Class, length: usize, whole_tail: bool) -> usize {
    let bytes = text.as_bytes();
    if bytes[at] == b'\''
        && let Some(end) = contraction_end(bytes, at)
    {
        return end;
    }
    // `[^\r\n\p{L}\p{N}]?\p{L}+`
    match class {
        Class::Letter => return run_end(text, at + length, Class::Letter),
        Class::Number => return digits_end(text, at + length),
        _ => {}
    }
    let next = class_at(text, at + length);
    if let Some((Class::Letter, letter)) = next
        && !matches!(bytes[at], b'\r' | b'\n')
    {
        return run_end(text, at + length + letter, Class::Letter);
    }
    // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    let marks = match (class, next) {
        (Class::Other, _) => Some(at + length),
        (_, Some((Class::Other, mark))) if bytes[at] == b' ' => Some(at + 1 + mark),
        _ => None,
    };
    if let Some(after) = marks {
        let mut end = run_end(text, after, Class::Other);
        while matches!(bytes.get(end), Some(b'\r' | b'\n')) {
            end += 1;
        }
        return end;
    }
    let end = run_end(text, at + length, Class::Space);
    // `\s+$` of tiktoken's current version.
    if whole_tail && end == bytes.len() {
        return end;
    }
    // `\s*[\r\n]+`: up to the last line break of the run.
    match bytes[at..end].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(last) => at + last + 1,
        None => give_back_one(text, at, length, end),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`. Unicode case folding also maps `ſ` (U+017F) to `s`.
fn contraction_end(bytes: &[u8], at: usize) -> Option<usize> {
    let first = bytes.get(at + 1)?.to_ascii_lowercase();
    let second = bytes.get(at + 2).map(u8::to_ascii_lowercase);
    match (first, second) {
        (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(at + 3),
        (0xC5, Some(0xBF)) => Some(at + 3),
        _ => None,
    }
}

/// `\p{N}{1,3}` after its first digit.
fn digits_end(text: &str, mut at: usize) -> usize {
    for _ in 0..2 {
        match class_at(text, at) {
            Some((Class::Number, length)) => at += length,
            _ => break,
        }
    }
    at
}

/// `\s+(?!\S)|\s+` for the run that starts at `at`.
fn spaces_end(text: &str, at: usize, length: usize) -> usize {
    give_back_one(text, at, length, run_end(text, at + length, Class::Space))
}

/// The lookahead of `\s+(?!\S)`: a run of two or more characters leaves the last one to the following word, unless the text
/// ends there. `length` is the length of the run's first character.
fn give_back_one(text: &str, at: usize, length: usize, end: usize) -> usize {
    if end == text.len() || end == at + length {
        return end;
    }
    let mut last = end - 1;
    while !text.is_char_boundary(last) {
        last -= 1;
    }
    last
}
