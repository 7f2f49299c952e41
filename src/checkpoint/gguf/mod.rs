//! GGUF, llama.cpp's one-file format: architecture, tokenizer and weights, most of them quantized. Its
//! description: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! Weights are widened to f32. What comes of a file is a checkpoint like any other.

mod blocks;
mod config;
mod header;
mod value;
mod vocabulary;
mod weights;

use super::{Loaded, same_vocabulary};
use crate::error::{Error, Result};
use header::Header;

/// How the names of such files end.
pub const EXTENSION: &str = ".gguf";

/// Reads a GGUF file of version 2 or 3 whose architecture is `llama` or `gpt2`. `file` names it in errors.
///
/// # Errors
/// A file that is truncated or hostile; an architecture, a kind of quantization or a tokenizer that this
/// program does not know; a part of a split model.
pub fn read_gguf(file: &str, bytes: &[u8]) -> Result<Loaded> {
    let header = Header::read(bytes).map_err(|problem| damaged(file, problem))?;
    if header.metadata.integer("split.count").is_some_and(|count| count > 1) {
        return Err(Error::malformed(
            file,
            "it is one of several parts of a model",
            "join them first, with llama.cpp's `llama-gguf-split --merge`",
        ));
    }
    let config = config::read(file, &header)?;
    let weights = weights::read(file, &header, &config)?;
    let tokenizer = vocabulary::read(file, &header.metadata)?;
    same_vocabulary(file, &config, tokenizer.as_ref())?;
    let adapters = super::HostTensors::new();
    Ok(Loaded { config, weights, tokenizer, training: None, adapters })
}

/// A file that contradicts itself or ends too soon.
fn damaged(file: &str, problem: impl Into<String>) -> Error {
    Error::malformed(file, problem, "copy or download it again")
}

/// A file with something in it that this program does not compute with.
fn unsupported(file: &str, problem: impl Into<String>) -> Error {
    let remedy = "use a GGUF file of a Llama or GPT-2 model, or the model's Hugging Face directory";
    Error::malformed(file, problem, remedy)
}
