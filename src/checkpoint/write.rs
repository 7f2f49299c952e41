//! Writes a checkpoint to memory.

use super::adapter;
use super::files::{CONFIG, Files, OPTIMIZER, STATE, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS};
use super::hf_config::to_hf;
use super::state::TrainingState;
use super::tensors::{HostTensor, HostTensors, read_params, to_file_layout, write_safetensors};
use super::tokenizer_config::tokenizer_config;
use crate::error::Result;
use crate::model::{Decoder, read_floats};
use crate::optim::Optimizer;
use crate::tokenizer::Tokenizer;

/// Writes a checkpoint to memory. `model` is the model in training, with its adapters; without `training` only the model
/// is written.
///
/// # Errors
/// Returns an error if the device was lost.
pub async fn pack(
    model: &Decoder,
    tokenizer: Option<&Tokenizer>,
    training: Option<(&TrainingState, &Optimizer)>,
) -> Result<Files> {
    let config = model.config();
    let mut files = Files::new();
    files.insert(CONFIG.into(), to_hf(config));
    let weights = to_file_layout(config, &read_params(&model.clone().merge_adapters()).await?);
    files.insert(WEIGHTS.into(), write_safetensors(&weights)?);
    if let Some(tokenizer) = tokenizer {
        files.insert(TOKENIZER.into(), tokenizer.to_json());
        files.insert(TOKENIZER_CONFIG.into(), tokenizer_config(config, tokenizer));
    }
    if let Some((state, optimizer)) = training {
        let mut optimizer_state = HostTensors::new();
        for (name, value) in optimizer.state() {
            let values = read_floats(value).await?;
            optimizer_state.insert(name, HostTensor { shape: vec![values.len()], values });
        }
        files.insert(OPTIMIZER.into(), write_safetensors(&optimizer_state)?);
        files.append(&mut adapter::pack(model, &state.train, &state.base).await?);
        files.insert(STATE.into(), state.to_json());
    }
    Ok(files)
}
