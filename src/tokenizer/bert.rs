//! BERT's normalization and pre-tokenization: clean, put spaces around CJK, strip accents, lower-case, then split at white
//! space and punctuation.
//!
//! Source: google-research/bert `tokenization.py` as implemented in `tokenizers`. The character categories come from the
//! crate that `tokenizers` uses (`unicode_categories`, Unicode 8), so both agree on every character. Characters assigned
//! since then count as letters in both.

use serde::{Deserialize, Serialize};
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// Settings of BERT's normalizer, with the names of `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BertNormalizer {
    /// Removes control characters and replaces all white space by spaces.
    pub(super) clean_text: bool,
    /// Puts spaces around CJK ideographs.
    pub(super) handle_chinese_chars: bool,
    /// Removes combining marks; `None` follows `lowercase`.
    pub(super) strip_accents: Option<bool>,
    /// Lower-cases each character separately (without a final sigma).
    pub(super) lowercase: bool,
}

impl BertNormalizer {
    /// Calls `word` for every word of a normalized text.
    pub(super) fn words(text: &str, mut word: impl FnMut(&str)) {
        for run in text.split(char::is_whitespace) {
            let mut start = 0;
            for (at, c) in run.char_indices().filter(|&(_, c)| is_punctuation(c)) {
                let end = at + c.len_utf8();
                if start < at {
                    word(&run[start..at]);
                }
                word(&run[at..end]);
                start = end;
            }
            if start < run.len() {
                word(&run[start..]);
            }
        }
    }

    /// Returns the normalized text.
    pub(super) fn normalize(&self, text: &str) -> String {
        let strip = self.strip_accents.unwrap_or(self.lowercase);
        let mut normal = String::with_capacity(text.len() + 16);
        if text.is_ascii() {
            // ASCII has no decompositions and no ideographs.
            for c in text.chars().filter_map(|c| self.clean(c)) {
                normal.push(if self.lowercase { c.to_ascii_lowercase() } else { c });
            }
            return normal;
        }
        let spaced = text.chars().filter_map(|c| self.clean(c)).flat_map(|c| {
            let space = (self.handle_chinese_chars && is_ideograph(c)).then_some(' ');
            [space, Some(c), space].into_iter().flatten()
        });
        let mut push = |c: char| {
            if self.lowercase {
                normal.extend(c.to_lowercase());
            } else {
                normal.push(c);
            }
        };
        if strip {
            spaced.nfd().filter(|c| !c.is_mark_nonspacing()).for_each(&mut push);
        } else {
            spaced.for_each(&mut push);
        }
        normal
    }

    /// Returns the cleaned character, or `None` to remove it.
    fn clean(&self, c: char) -> Option<char> {
        match c {
            _ if !self.clean_text => Some(c),
            '\t' | '\n' | '\r' => Some(' '),
            ' '..='~' => Some(c),
            '\0' | '\u{FFFD}' => None,
            _ if c.is_other() => None,
            _ if c.is_whitespace() => Some(' '),
            _ => Some(c),
        }
    }
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { c.is_punctuation() }
}

/// Returns true for the CJK blocks of BERT's source, with its gap between U+2B81F and U+2B920.
fn is_ideograph(c: char) -> bool {
    matches!(
        c as u32,
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}
