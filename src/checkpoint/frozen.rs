//! The weights that LoRA adapters leave as they are, apart from the checkpoints.
//!
//! Every checkpoint of such a run has two copies of them: the merged weights and the original values of those that are
//! adapted. Where storage is scarce, both can be left out of the checkpoints: they follow from the frozen weights, which are
//! stored once or are those of the run that was fine-tuned.

use burn::tensor::{Device, Tensor, TensorData};

use super::adapter::{self, ADAPTER_WEIGHTS, BASE_WEIGHTS};
use super::files::{CONFIG, Files, STATE, WEIGHTS};
use super::hf_config::from_hf;
use super::state::TrainingState;
use super::tensors::{
    HostTensor, HostTensors, from_file_layout, read_safetensors, to_file_layout, write_safetensors,
};
use crate::error::{Error, Result};
use crate::model::{low_rank_product, read_floats};

/// File with the frozen weights of a run, by parameter name.
pub const FROZEN: &str = "frozen.safetensors";

/// Returns the parameters of a checkpoint by name: its [`CONFIG`] and [`WEIGHTS`] are read.
///
/// # Errors
/// A file is missing or damaged.
pub fn parameters(files: &Files) -> Result<HostTensors> {
    let weights = read_safetensors(WEIGHTS, file(files, WEIGHTS)?)?;
    from_file_layout(&from_hf(file(files, CONFIG)?)?, WEIGHTS, weights)
}

/// Returns the parameters of a checkpoint with adapters that the run does not train, by name.
///
/// # Errors
/// A file is missing or damaged.
pub fn frozen_parameters(files: &Files) -> Result<HostTensors> {
    let mut all = parameters(files)?;
    all.extend(read_safetensors(BASE_WEIGHTS, file(files, BASE_WEIGHTS)?)?);
    if TrainingState::from_json(file(files, STATE)?)?.train.lora.embeddings {
        for (_, table) in adapter::tables(&from_hf(file(files, CONFIG)?)?) {
            all.remove(table);
        }
    }
    Ok(all)
}

/// Adds the two files to a checkpoint that was stored without them. The products of the adapters are computed on `device`.
///
/// # Errors
/// A file is missing or damaged; the weights belong to another model; the device was lost.
pub async fn add_frozen(
    mut files: Files,
    mut frozen: HostTensors,
    device: &Device,
) -> Result<Files> {
    let config = from_hf(file(&files, CONFIG)?)?;
    let lora = TrainingState::from_json(file(&files, STATE)?)?.train.lora;
    let trained = read_safetensors(ADAPTER_WEIGHTS, file(&files, ADAPTER_WEIGHTS)?)?;
    if lora.embeddings {
        for (module, table) in adapter::tables(&config) {
            let values = trained.get(&adapter::peft_name(&module)).ok_or_else(|| {
                Error::MissingTensor { name: module.clone(), file: ADAPTER_WEIGHTS.into() }
            })?;
            frozen.insert(table.into(), values.clone());
        }
    }
    let adapters = adapter::from_peft(&config, trained)?;
    let mut originals = HostTensors::new();
    for (name, a) in &adapters {
        let Some(projection) = name.strip_suffix(".lora.a") else { continue };
        let name = format!("{projection}.weight");
        let missing = || Error::MissingTensor { name: name.clone(), file: FROZEN.into() };
        let b = adapters.get(&format!("{projection}.lora.b")).ok_or_else(missing)?;
        let weight = frozen.get_mut(&name).ok_or_else(missing)?;
        weight.shape = vec![b.shape[0], a.shape[1]];
        originals.insert(name.clone(), weight.clone());
        let [a, b] = [a, b].map(|tensor| to_device(tensor, device));
        let product = low_rank_product(a, b, lora.scale());
        let product = read_floats(product.reshape([weight.values.len()])).await?;
        for (value, change) in weight.values.iter_mut().zip(product) {
            *value += change;
        }
    }
    let complete = adapter::tables(&config).iter().all(|(_, table)| frozen.contains_key(*table));
    if !complete {
        return Err(Error::MissingTensor {
            name: "embed_tokens.weight".into(),
            file: FROZEN.into(),
        });
    }
    files.insert(BASE_WEIGHTS.into(), write_safetensors(&originals)?);
    files.insert(WEIGHTS.into(), write_safetensors(&to_file_layout(&config, &frozen))?);
    Ok(files)
}

fn to_device(tensor: &HostTensor, device: &Device) -> Tensor<2> {
    let shape = [tensor.shape[0], tensor.shape[1]];
    Tensor::from_data(TensorData::new(tensor.values.clone(), shape), device)
}

fn file<'a>(files: &'a Files, name: &str) -> Result<&'a [u8]> {
    files.get(name).map(Vec::as_slice).ok_or_else(|| Error::MissingFile {
        file: name.into(),
        place: "the checkpoint".into(),
        remedy: "open an earlier checkpoint of the run".into(),
    })
}
