//! Reads a checkpoint from memory.

use serde_json::Value;

use super::adapter;
use super::adjust::{require_finite, settle_head, unwrap_names};
use super::archive::is_foreign;
use super::companions::Companions;
use super::files::{
    ADDED_TOKENS, AVERAGE, CONFIG, Files, MERGES, OPTIMIZER, STATE, TOKENIZER, VOCAB, WEIGHTS,
    WEIGHTS_INDEX,
};
use super::gguf::{EXTENSION as GGUF_EXTENSION, read_gguf};
use super::hf_config::from_hf;
use super::loaded::{Checkpoint, compare_vocabulary};
use super::state::TrainingState;
use super::tensors::{HostTensors, from_file_layout, read_safetensors};
use super::unreadable::{PEFT_CONFIG, missing_config_error, missing_weights_error};
use crate::HAS_LONG_RUNS;
use crate::config::ModelConfig;
use crate::error::{Error, Result, json_problem};
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
    files.retain(|name, _| !is_foreign(name));
    let gguf = files.iter().find(|(name, _)| name.ends_with(GGUF_EXTENSION));
    if let Some((name, bytes)) = gguf.filter(|_| !files.contains_key(CONFIG)) {
        return read_gguf(name, bytes);
    }
    let config = files.remove(CONFIG).ok_or_else(|| missing_config_error(&files, place))?;
    let companions = Companions::take(&mut files, &config)?;
    let mut config = from_hf(&config)?;
    if let Some(ends) = companions.end_tokens(config.vocab_size) {
        config.eos_token_id = ends;
    }
    let mut theirs = match files.remove(WEIGHTS) {
        Some(bytes) => read_safetensors(WEIGHTS, &bytes)?,
        None => {
            let index = files.remove(WEIGHTS_INDEX);
            let index = index.ok_or_else(|| missing_weights_error(&files, place))?;
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
    require_finite(WEIGHTS, &theirs)?;
    let mut notes = unwrap_names(WEIGHTS, &mut theirs)?;
    notes.extend(settle_head(WEIGHTS, &mut config, &mut theirs));
    if files.contains_key(PEFT_CONFIG) {
        notes.push(format!("{PEFT_CONFIG}: the LoRA adapter beside the model is not applied"));
    }
    let weights = from_file_layout(&config, WEIGHTS, theirs)?;
    let tokenizer = match (files.remove(TOKENIZER), files.get(VOCAB), files.get(MERGES)) {
        (Some(bytes), _, _) => Some(Tokenizer::from_json(&bytes)?),
        (None, Some(vocab), Some(merges)) => {
            let added = files.get(ADDED_TOKENS).map(Vec::as_slice);
            Some(Tokenizer::from_vocab_and_merges(vocab, merges, added)?)
        }
        (None, _, _) => None,
    };
    notes.extend(compare_vocabulary(TOKENIZER, &config, tokenizer.as_ref()));
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
    let average = match files.remove(AVERAGE).filter(|_| HAS_LONG_RUNS && training.is_some()) {
        Some(bytes) => Some(read_average(&config, &bytes)?),
        None if training.as_ref().is_some_and(|(state, _)| averages(state)) => {
            return Err(missing(AVERAGE, "copy it too, or remove training_state.json"));
        }
        None => None,
    };
    Ok(Checkpoint { config, weights, tokenizer, companions, training, average, notes, adapters })
}

/// Returns true if the run averages its weights.
fn averages(state: &TrainingState) -> bool {
    let config = state.long_run.get("config");
    HAS_LONG_RUNS && config.is_some_and(|config| config.get("ema_decay").is_some())
}

fn read_average(config: &ModelConfig, bytes: &[u8]) -> Result<HostTensors> {
    let theirs = read_safetensors(AVERAGE, bytes)?;
    require_finite(AVERAGE, &theirs)?;
    from_file_layout(config, AVERAGE, theirs)
}

/// Returns the names of the files in an index of sharded weights.
///
/// # Errors
/// Returns an error if the index is malformed or names files outside its directory.
pub fn shard_names(index: &[u8]) -> Result<Vec<String>> {
    let wrong = |problem: &str| Error::malformed(WEIGHTS_INDEX, problem, "download it again");
    let value: Value = serde_json::from_slice(index).map_err(|e| wrong(&json_problem(&e)))?;
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
