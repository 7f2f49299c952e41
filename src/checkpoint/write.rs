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
/// The device was lost; a rank does not answer, which has a part of the optimizer state.
pub async fn pack(
    model: &Decoder,
    tokenizer: Option<&Tokenizer>,
    training: Option<(&TrainingState, &Optimizer)>,
) -> Result<Files> {
    let config = model.config();
    let mut files = Files::new();
    files.insert(CONFIG.into(), to_hf(config));
    let weights = {
        let ours = read_params(&model.clone().merge_adapters()).await?;
        to_file_layout(config, &ours)
    };
    files.insert(WEIGHTS.into(), write_safetensors(&weights)?);
    drop(weights);
    if let Some(tokenizer) = tokenizer {
        files.insert(TOKENIZER.into(), tokenizer.to_json());
        files.insert(TOKENIZER_CONFIG.into(), tokenizer_config(config, tokenizer));
    }
    if let Some((state, optimizer)) = training {
        let mut optimizer_state = HostTensors::new();
        for group in optimizer.whole_state() {
            for (name, value) in group? {
                let values = read_floats(value).await?;
                optimizer_state.insert(name, HostTensor { shape: vec![values.len()], values });
            }
        }
        files.insert(OPTIMIZER.into(), write_safetensors(&optimizer_state)?);
        files.append(&mut adapter::pack(model, &state.train, &state.base).await?);
        files.insert(STATE.into(), state.to_json());
    }
    Ok(files)
}

/// Writes a moving average of the weights to memory. `average` is a model without adapters.
///
/// # Errors
/// The device was lost.
pub async fn pack_average(average: &Decoder) -> Result<Vec<u8>> {
    let ours = read_params(average).await?;
    write_safetensors(&to_file_layout(average.config(), &ours))
}
