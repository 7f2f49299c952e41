//! Reads a checkpoint from memory.

use serde_json::Value;

use super::adapter;
use super::files::{CONFIG, Files, OPTIMIZER, STATE, TOKENIZER, WEIGHTS, WEIGHTS_INDEX};
use super::gguf::{EXTENSION as GGUF_EXTENSION, read_gguf};
use super::hf_config::from_hf;
use super::loaded::{Checkpoint, same_vocabulary};
use super::state::TrainingState;
use super::tensors::{HostTensors, from_file_layout, read_safetensors};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Reads a checkpoint from memory: one of ours, a Hugging Face GPT-2, Llama or Mistral directory, or a GGUF file. `place`
/// names it in error messages.
///
/// # Errors
/// Returns an error if a file is missing or damaged, or if the weights do not fit the configuration.
pub fn unpack(files: Files, place: &str) -> Result<Checkpoint> {
    read(files, place).map_err(|error| error.renamed(|file| format!("{place}/{file}")))
}

/// [`unpack`] with errors that name files relative to `place`.
fn read(mut files: Files, place: &str) -> Result<Checkpoint> {
    let missing = |file: &str, remedy: &str| Error::MissingFile {
        file: file.into(),
        place: place.into(),
        remedy: remedy.into(),
    };
    let gguf = files.iter().find(|(name, _)| name.ends_with(GGUF_EXTENSION));
    if let Some((name, bytes)) = gguf.filter(|_| !files.contains_key(CONFIG)) {
        return read_gguf(name, bytes);
    }
    let remedy =
        "use a checkpoint directory (with config.json and model.safetensors) or a .gguf file";
    let config = files.remove(CONFIG).ok_or_else(|| missing(CONFIG, remedy))?;
    let config = from_hf(&config)?;
    let theirs = match files.remove(WEIGHTS) {
        Some(bytes) => read_safetensors(WEIGHTS, &bytes)?,
        None => {
            let index = files
                .remove(WEIGHTS_INDEX)
                .ok_or_else(|| missing(WEIGHTS, "copy or download the weights too"))?;
            let mut all = HostTensors::new();
            for shard in shard_names(&index)? {
                let bytes = files
                    .remove(&shard)
                    .ok_or_else(|| missing(&shard, "copy or download every shard"))?;
                all.append(&mut read_safetensors(&shard, &bytes)?);
            }
            all
        }
    };
    let weights = from_file_layout(&config, WEIGHTS, theirs)?;
    let tokenizer =
        files.remove(TOKENIZER).map(|bytes| Tokenizer::from_json(&bytes)).transpose()?;
    same_vocabulary(TOKENIZER, &config, tokenizer.as_ref())?;
    let mut adapters = HostTensors::new();
    let training = match files.remove(STATE) {
        None => None,
        Some(state) => {
            let state = TrainingState::from_json(&state)?;
            state.data.validate(config.max_position_embeddings)?;
            let optimizer_state = files
                .remove(OPTIMIZER)
                .ok_or_else(|| missing(OPTIMIZER, "copy it too, or remove training_state.json"))?;
            let optimizer_state = read_safetensors(OPTIMIZER, &optimizer_state)?;
            if state.train.adapts() {
                adapters = adapter::unpack(&config, &mut files, place)?;
            }
            Some((state, optimizer_state.into_iter().map(|(name, t)| (name, t.values)).collect()))
        }
    };
    Ok(Checkpoint { config, weights, tokenizer, training, adapters })
}

/// Returns the names of the files in an index of sharded weights.
///
/// # Errors
/// Returns an error if the index is malformed or names files outside its directory.
pub fn shard_names(index: &[u8]) -> Result<Vec<String>> {
    let wrong = |problem: &str| Error::malformed(WEIGHTS_INDEX, problem, "download it again");
    let value: Value = serde_json::from_slice(index).map_err(|e| wrong(&e.to_string()))?;
    let map = value["weight_map"].as_object().ok_or_else(|| wrong("it has no weight_map"))?;
    let mut names: Vec<String> =
        map.values().filter_map(Value::as_str).map(str::to_string).collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name.contains(['/', '\\'])) {
        return Err(wrong("it names files outside its directory"));
    }
    Ok(names)
}
