//! GGUF, llama.cpp's single-file format of configuration, tokenizer and (mostly quantized) weights, specified in
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! Weights are dequantized to f32.

mod blocks;
mod config;
mod error;
mod header;
mod value;
mod vocabulary;
mod weights;

use super::adjust::require_finite;
use super::companions::Companions;
use super::loaded::{Checkpoint, compare_vocabulary};
use super::tensors::HostTensors;
use crate::error::{Error, Result};
use error::damaged;
use header::Header;

/// Extension of GGUF files.
pub const EXTENSION: &str = ".gguf";

/// Reads a GGUF file of version 2 or 3 with the architecture `llama` or `gpt2`. `file` names it in errors.
///
/// # Errors
/// Returns an error if the file is truncated, inconsistent or one part of a split model, or if its architecture, a
/// quantization or its tokenizer is not supported.
pub fn read_gguf(file: &str, bytes: &[u8]) -> Result<Checkpoint> {
    let header = Header::read(bytes).map_err(|problem| damaged(file, problem))?;
    if header.metadata.integer("split.count").is_some_and(|count| count > 1) {
        return Err(Error::malformed(
            file,
            "it is one part of a split model",
            "merge the parts with llama.cpp's `llama-gguf-split --merge`",
        ));
    }
    let config = config::read(file, &header)?;
    let weights = weights::read(file, &header, &config)?;
    require_finite(file, &weights)?;
    let tokenizer = vocabulary::read(file, &header)?;
    let notes = compare_vocabulary(file, &config, tokenizer.as_ref()).into_iter().collect();
    let adapters = HostTensors::new();
    let pad = config::token(&header, "padding", config.vocab_size);
    let companions = Companions::of_file(header.metadata.text("tokenizer.chat_template"), pad);
    Ok(Checkpoint {
        config,
        weights,
        tokenizer,
        companions,
        training: None,
        average: None,
        notes,
        adapters,
    })
}
