//! Reading and writing of Hugging Face's `tokenizer.json`.
//!
//! | kind | model | pre-tokenizer | decoder |
//! | --- | --- | --- | --- |
//! | byte | `BPE` of 256 tokens without merges | `ByteLevel` without its regex | `ByteLevel` |
//! | char | `WordLevel` | `Split` at every character | `Fuse` |
//! | bpe | `BPE` | `ByteLevel` (GPT-2), or `Split` by regex or `Digits`, then `ByteLevel` | `ByteLevel` |
//! | wordpiece | `WordPiece` with a `BertNormalizer` | `BertPreTokenizer` | `WordPiece` |
//! | sentencepiece | `BPE` with byte fallback | none, or `Metaspace` | `Replace`, `ByteFallback`, `Fuse`, `Strip` |

mod pair;
mod parts;
mod post;
mod read;
mod schema;
mod sentencepiece;
mod write;

pub(super) use post::PostProcessor;

use crate::error::Error;

/// Name of the file in errors.
const WHAT: &str = "tokenizer.json";
/// Matches any character in both regex engines that `tokenizers` can use.
const ANY_CHAR: &str = r"[\s\S]";

/// Returns the error for an unsupported part of the file.
fn unsupported(problem: impl Into<String>) -> Error {
    Error::malformed(
        WHAT,
        problem,
        "use a byte-level BPE tokenizer (GPT-2, GPT-4, GPT-4o, Llama 3, Qwen 2 or SmolLM), SentencePiece's BPE (Llama 2), WordPiece (BERT), or one written by blankslate",
    )
}

/// Returns the error for an inconsistent file.
fn broken(problem: impl Into<String>) -> Error {
    Error::malformed(WHAT, problem, "download the file again from its original source")
}
