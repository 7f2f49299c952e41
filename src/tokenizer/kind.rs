//! Kinds of tokenizers.

use serde::{Deserialize, Serialize};

/// Kind of a tokenizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One token per UTF-8 byte: 256 ids, no training.
    Byte,
    /// One token per character of the training text.
    Char,
    /// Byte-level BPE: byte pairs merged by frequency, as in GPT-2, GPT-4 and Llama 3.
    #[default]
    Bpe,
    /// Longest matching pieces of each word, as in BERT.
    WordPiece,
    /// SentencePiece's BPE: characters merged by score, with byte fallback, as in Llama 2. Only read from files.
    SentencePiece,
}
