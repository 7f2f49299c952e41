//! The tokenizer in a GGUF file's metadata.

use super::value::Metadata;
use super::{damaged, unsupported};
use crate::error::{Error, Result};
use crate::tokenizer::{GgmlVocabulary, Pattern, Tokenizer};

/// Builds the tokenizer; none where the file has none.
pub fn read(file: &str, metadata: &Metadata) -> Result<Option<Tokenizer>> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    match metadata.text(&key("model")) {
        None | Some("no_vocab") => return Ok(None),
        Some("gpt2") => {}
        Some(other) => {
            return Err(Error::malformed(
                file,
                format!("its tokenizer is of the kind `{other}`"),
                "use a model with a byte-level BPE tokenizer (`gpt2`), as GPT-2 and Llama 3 have it",
            ));
        }
    }
    let pattern = match (metadata.text(&key("pre")), metadata.text("general.architecture")) {
        (Some("gpt-2" | "gpt2"), _) | (None, Some("gpt2")) => Pattern::Gpt2,
        (Some("llama-bpe" | "llama3" | "llama-v3"), _) => Pattern::Llama3,
        (other, _) => {
            let pre = other.unwrap_or("none");
            return Err(unsupported(file, format!("its tokenizer.ggml.pre is `{pre}`")));
        }
    };
    let missing = |name: &str| damaged(file, format!("{} is missing or no list", key(name)));
    let list = |name: &str| metadata.texts(&key(name)).ok_or_else(|| missing(name));
    let id = |name: &str| metadata.integer(&key(name)).and_then(|id| u32::try_from(id).ok());
    // Where a file does not say it, llama.cpp opens texts for Llama 3 alone.
    let opens = metadata.flag(&key("add_bos_token")).unwrap_or(pattern == Pattern::Llama3);
    let vocabulary = GgmlVocabulary {
        tokens: list("tokens")?,
        merges: list("merges")?,
        token_types: metadata.integers(&key("token_type")).ok_or_else(|| missing("token_type"))?,
        pattern,
        bos: id("bos_token_id").filter(|_| opens),
    };
    Tokenizer::from_ggml(file, &vocabulary).map(Some)
}
