//! Errors of GGUF files.

use crate::error::Error;

/// Returns the error for a truncated or inconsistent file.
pub(super) fn damaged(file: &str, problem: impl Into<String>) -> Error {
    Error::malformed(file, problem, "copy or download it again")
}

/// Returns the error for a file with an unsupported feature.
pub(super) fn unsupported(file: &str, problem: impl Into<String>) -> Error {
    let remedy = "use a GGUF file of a Llama or GPT-2 model, or the model's Hugging Face directory";
    Error::malformed(file, problem, remedy)
}
