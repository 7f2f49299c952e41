//! Tokenizer in a GGUF file's metadata.

use super::config::token;
use super::error::{damaged, unsupported};
use super::header::Header;
use super::value::Metadata;
use crate::error::{Error, Result};
use crate::tokenizer::{GgmlRule, GgmlVocabulary, Pattern, Tokenizer};

/// Builds the tokenizer; none if the file has none.
pub fn read(file: &str, header: &Header) -> Result<Option<Tokenizer>> {
    let metadata = &header.metadata;
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let missing = |name: &str| damaged(file, format!("{} is missing or not an array", key(name)));
    let list = |name: &str| metadata.texts(&key(name)).ok_or_else(|| missing(name));
    let tokens = metadata.texts(&key("tokens"));
    let count = tokens.as_ref().map_or(0, Vec::len);
    let (rule, opens_by_itself) = match metadata.text(&key("model")) {
        None | Some("no_vocab") => return Ok(None),
        Some("gpt2") => {
            let pattern = read_pattern(file, metadata)?;
            // Without `add_bos_token`, llama.cpp adds the BOS token only for Llama 2 and 3.
            (GgmlRule::ByteLevel { merges: list("merges")?, pattern }, pattern == Pattern::Llama3)
        }
        Some("llama") => {
            let scores = metadata.numbers(&key("scores")).unwrap_or_else(|| vec![0.0; count]);
            let opens_with_space = metadata.flag(&key("add_space_prefix")).unwrap_or(true);
            (GgmlRule::SentencePiece { scores, opens_with_space }, true)
        }
        Some(other) => {
            return Err(Error::malformed(
                file,
                format!("its tokenizer model is `{other}`"),
                "use a model with a BPE tokenizer (`gpt2` or `llama`), such as GPT-2, SmolLM or Llama",
            ));
        }
    };
    let opens = metadata.flag(&key("add_bos_token")).unwrap_or(opens_by_itself);
    let vocabulary = GgmlVocabulary {
        tokens: tokens.ok_or_else(|| missing("tokens"))?,
        // Without the key, all tokens are normal.
        token_types: metadata
            .integers(&key("token_type"))
            .unwrap_or_else(|| vec![GgmlVocabulary::NORMAL; count]),
        rule,
        bos: token(header, "bos", count).filter(|_| opens),
    };
    Tokenizer::from_ggml(file, &vocabulary).map(Some)
}

/// Reads the pre-tokenization pattern of a byte-level tokenizer.
fn read_pattern(file: &str, metadata: &Metadata) -> Result<Pattern> {
    match (metadata.text("tokenizer.ggml.pre"), metadata.text("general.architecture")) {
        (Some("gpt-2" | "gpt2"), _) | (None, Some("gpt2")) => Ok(Pattern::Gpt2),
        (Some("llama-bpe" | "llama3" | "llama-v3"), _) => Ok(Pattern::Llama3),
        (Some("smollm"), _) => Ok(Pattern::SmolLm),
        (Some("qwen2"), _) => Ok(Pattern::Qwen2),
        (Some("gpt-4o"), _) => Ok(Pattern::O200k),
        (other, _) => {
            let pre = other.unwrap_or("none");
            Err(unsupported(file, format!("its tokenizer.ggml.pre is `{pre}`")))
        }
    }
}
