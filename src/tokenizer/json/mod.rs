//! Hugging Face's `tokenizer.json`: what is shared between reading and writing it.
//!
//! | kind | model | pre-tokenizer | decoder |
//! | --- | --- | --- | --- |
//! | byte | `BPE` of 256 tokens without merges | `ByteLevel` without its regex | `ByteLevel` |
//! | char | `WordLevel` | `Split` at every character | `Fuse` |
//! | bpe | `BPE` | `ByteLevel` (GPT-2), or `Split` by regex or `Digits`, then `ByteLevel` | `ByteLevel` |
//! | wordpiece | `WordPiece` with a `BertNormalizer` | `BertPreTokenizer` | `WordPiece` |
//! | sentencepiece | `BPE` with byte fallback | none, or `Metaspace` | `Replace`, `ByteFallback`, `Fuse`, `Strip` |

mod post;
mod read;
mod schema;
mod sentencepiece;
mod write;

pub(super) use post::PostProcessor;

use crate::error::Error;

/// The name of the file in errors.
const WHAT: &str = "tokenizer.json";
/// One character of any sort, in both regex engines that `tokenizers` can be built with.
const ANY_CHAR: &str = r"[\s\S]";

/// Something the file has that nothing here does.
fn unsupported(problem: impl Into<String>) -> Error {
    Error::malformed(
        WHAT,
        problem,
        "use a byte-level BPE tokenizer (GPT-2, GPT-4, Llama 3 or SmolLM), SentencePiece's BPE (Llama 2), WordPiece (BERT), or one written by blankslate",
    )
}

/// Something the file contradicts itself in.
fn broken(problem: impl Into<String>) -> Error {
    Error::malformed(WHAT, problem, "take the file from its original source again")
}
