//! Settings of tokenizer training.

use super::kind::Kind;
use super::pattern::Pattern;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of tokenizer training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Kind of tokenizer.
    pub kind: Kind,
    /// Maximum number of ids, including special tokens. Small texts yield fewer, and byte and character vocabularies have
    /// only as many as they need.
    pub vocab_size: usize,
    /// Pre-tokenization pattern; BPE only.
    pub pattern: Pattern,
    /// Special tokens. Their ids come last; with WordPiece they come first.
    pub special_tokens: Vec<String>,
    /// Unknown token of character and WordPiece vocabularies. WordPiece defaults to `[UNK]`; without one, a character
    /// vocabulary cannot encode unknown characters.
    pub unknown: Option<String>,
    /// Lower-case and strip accents; WordPiece only.
    pub lowercase: bool,
    /// Minimum number of occurrences of a merged pair; BPE and WordPiece.
    pub min_frequency: u64,
    /// Maximum number of characters, of which the most frequent are kept; characters and WordPiece.
    pub alphabet_limit: Option<usize>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            kind: Kind::Bpe,
            vocab_size: 32_768,
            pattern: Pattern::Gpt2,
            special_tokens: Vec::new(),
            unknown: None,
            lowercase: true,
            min_frequency: 1,
            alphabet_limit: None,
        }
    }
}

/// Returns an error unless `vocab_size` has room for the base alphabet and the special tokens.
pub(super) fn room(
    options: &TrainOptions,
    kind: &str,
    base: usize,
    base_words: &str,
    special_tokens: &[String],
) -> Result<()> {
    let minimum = base + special_tokens.len();
    if options.vocab_size >= minimum {
        return Ok(());
    }
    Err(Error::VocabTooSmall {
        requested: options.vocab_size,
        minimum,
        kind: kind.into(),
        why: match special_tokens.len() {
            0 => base_words.into(),
            1 => format!("1 special token and {base_words}"),
            count => format!("{count} special tokens and {base_words}"),
        },
    })
}
