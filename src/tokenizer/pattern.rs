//! Pre-tokenization: the published regular expressions that split text into the pieces within which BPE merges.

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
    /// Llama 3 as llama.cpp spells it: like [`Pattern::Llama3`], except that `ſ` (U+017F) is no `s` of a contraction.
    Llama3Ascii,
    /// SmolLM: single digits, and [`Pattern::Gpt2`] between them.
    SmolLm,
    /// Qwen 2 and later: like [`Pattern::Llama3`], with single digits.
    Qwen2,
    /// GPT-4o and gpt-oss: a word ends before an uppercase letter that follows a lowercase one, and keeps its contraction.
    O200k,
}

/// GPT-2's expression, as in the `ByteLevel` pre-tokenizer of `tokenizers`.
pub(super) const GPT2_REGEX: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// GPT-4's expression without possessive quantifiers and `$`, whose meanings differ between the two regex engines that
/// `tokenizers` can use.
pub(super) const CL100K_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Llama 3's expression, as published.
pub(super) const LLAMA3_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Llama 3's expression in llama.cpp, which does not fold cases.
pub(super) const LLAMA3_ASCII_REGEX: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's expression, as published.
pub(super) const QWEN2_REGEX: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's expression, as published.
pub(super) const O200K_REGEX: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Expressions in published files with the equivalent pattern.
const SPELLINGS: [(&str, Pattern); 9] = [
    (GPT2_REGEX, Pattern::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Pattern::Gpt2),
    (CL100K_REGEX, Pattern::Cl100k),
    (LLAMA3_REGEX, Pattern::Llama3),
    (QWEN2_REGEX, Pattern::Qwen2),
    (O200K_REGEX, Pattern::O200k),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (LLAMA3_ASCII_REGEX, Pattern::Llama3Ascii),
];

impl Pattern {
    /// Every pattern with its name in flags.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("gpt2", Self::Gpt2),
        ("cl100k", Self::Cl100k),
        ("llama3", Self::Llama3),
        ("llama3-ascii", Self::Llama3Ascii),
        ("smollm", Self::SmolLm),
        ("qwen2", Self::Qwen2),
        ("o200k", Self::O200k),
    ];

    /// Returns the pattern of a name in [`Pattern::NAMES`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, pattern)| *pattern)
    }

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
            Self::Llama3Ascii => LLAMA3_ASCII_REGEX,
            Self::Qwen2 => QWEN2_REGEX,
            Self::O200k => O200K_REGEX,
        }
    }
}
