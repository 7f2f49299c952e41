//! A small model in the files of other programs.

use blankslate::checkpoint::*;
use blankslate::config::ModelConfig;
use blankslate::error::Result;
use blankslate::model::{Decoder, random_source};
use blankslate::platform::block_on;
use blankslate::sample::Generator;
use serde_json::Value;

pub const HEAD: &str = "lm_head.weight";
pub const EMBEDDING: &str = "model.embed_tokens.weight";

pub fn small() -> ModelConfig {
    let config = ModelConfig::llama(48).with_context(32).with_hidden_size(16).with_layers(2);
    let config = config.with_heads(2).with_kv_heads(1).with_intermediate_size(24);
    ModelConfig { initializer_range: 0.3, ..config }
}

/// The files of a random model, without a tokenizer.
pub fn files_of(config: &ModelConfig) -> Files {
    let model = Decoder::new(config, &super::cpu(), &mut random_source(3)).unwrap();
    block_on(pack(&model, None, None)).unwrap()
}

/// The same files with another configuration.
pub fn edited(files: &Files, edit: impl FnOnce(&mut Value)) -> Files {
    let mut files = files.clone();
    let mut config: Value = serde_json::from_slice(&files[CONFIG]).unwrap();
    edit(&mut config);
    files.insert(CONFIG.into(), config.to_string().into_bytes());
    files
}

/// The same files with other weights.
pub fn reshaped(files: &Files, edit: impl FnOnce(&mut HostTensors)) -> Files {
    let mut files = files.clone();
    let mut tensors = read_safetensors(WEIGHTS, &files[WEIGHTS]).unwrap();
    edit(&mut tensors);
    files.insert(WEIGHTS.into(), write_safetensors(&tensors).unwrap());
    files
}

/// The same files with other names of all weights.
pub fn renamed(files: &Files, rename: impl Fn(&str) -> String) -> Files {
    reshaped(files, |tensors| {
        let all = std::mem::take(tensors).into_iter();
        *tensors = all.map(|(name, tensor)| (rename(&name), tensor)).collect();
    })
}

/// Generates to the end: the text, and the ids with the prompt.
pub fn generated(mut generator: Generator) -> Result<(String, Vec<u32>)> {
    let mut text = String::new();
    while let Some(piece) = block_on(generator.next())? {
        text.push_str(&piece.text);
    }
    Ok((text, generator.ids().to_vec()))
}
