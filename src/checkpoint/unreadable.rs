//! Names what a folder without a readable model contains instead.

use serde_json::Value;

use super::files::{CONFIG, Files, WEIGHTS};
use crate::error::Error;

/// PEFT's configuration of an adapter, in a folder of its own.
pub const PEFT_CONFIG: &str = "adapter_config.json";

/// Returns true for files that hold weights in a form that is not read. Reading them would run code that they contain, or
/// needs another framework.
pub fn is_other_weights(name: &str) -> bool {
    let torch = [".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"];
    let others = ["tf_model.h5", "flax_model.msgpack"];
    let is_training_file = name.starts_with("training_args") || name.starts_with("optimizer");
    !is_training_file
        && (others.contains(&name) || torch.iter().any(|suffix| name.ends_with(suffix)))
}

/// Returns the error for a folder without `config.json`.
pub(super) fn missing_config_error(files: &Files, place: &str) -> Error {
    if let Some(adapter) = files.get(PEFT_CONFIG) {
        let value: Value = serde_json::from_slice(adapter).unwrap_or_default();
        let base = value["base_model_name_or_path"].as_str().unwrap_or("its base model");
        return Error::malformed(
            PEFT_CONFIG,
            format!("this folder is a LoRA adapter of {base}, not a model"),
            "merge the two with PEFT's `merge_and_unload`, save the result with `save_pretrained`, and open that",
        );
    }
    Error::MissingFile {
        file: CONFIG.into(),
        place: place.into(),
        remedy:
            "use a checkpoint directory (with config.json and model.safetensors) or a .gguf file"
                .into(),
    }
}

/// Returns the error for a folder with `config.json` but without safetensors.
pub(super) fn missing_weights_error(files: &Files, place: &str) -> Error {
    let remedy = match files.keys().find(|name| is_other_weights(name)) {
        None => "copy or download the weights too".into(),
        Some(other) => format!(
            "its weights are in {other}, a form that is not read: save them with transformers as safetensors (`save_pretrained`)"
        ),
    };
    Error::MissingFile { file: WEIGHTS.into(), place: place.into(), remedy }
}
