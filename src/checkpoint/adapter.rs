//! LoRA adapters in a checkpoint.
//!
//! `model.safetensors` holds the merged weights, so that any program opens the checkpoint as a plain model. Merging
//! rounds, so `base.safetensors` holds the original values of the adapted weights for exact resumption. The adapters are
//! in `adapter/` in PEFT's format. They have a folder of their own because transformers, if it finds
//! `adapter_config.json` beside a model, would add them to the merged weights again.

use serde_json::json;

use super::files::Files;
use super::layout::{Architecture, Entry, ParamRows, layout};
use super::tensors::{
    HostTensor, HostTensors, read_params_where, read_safetensors, write_safetensors,
};
use crate::config::{ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Decoder, random_source};

/// Original values of the adapted weights, by parameter name.
pub const BASE_WEIGHTS: &str = "base.safetensors";
/// Folder in PEFT's format.
pub const ADAPTER: &str = "adapter";
/// PEFT's configuration of the adapters.
pub const ADAPTER_CONFIG: &str = "adapter/adapter_config.json";
/// Weights of the adapters under PEFT's names.
pub const ADAPTER_WEIGHTS: &str = "adapter/adapter_model.safetensors";

/// PEFT's prefix of module names.
const ROOT: &str = "base_model.model.";
const EMBEDDING: &str = "embed_tokens.weight";

/// Adds fresh adapters to `model` if `train` enables LoRA.
///
/// # Errors
/// Returns an error if the model lacks a target, or if PEFT's format cannot store the adapter of a target.
pub fn adapt(model: Decoder, train: &TrainConfig) -> Result<Decoder> {
    if !train.adapts() {
        return Ok(model);
    }
    let adapted = train.lora.adapted(model.config())?;
    let is_adapted = |part: &ParamRows| adapted.iter().any(|one| part.param.contains(one.path));
    let torn = projections(model.config())
        .any(|module| module.parts.iter().any(is_adapted) && rows_of_one_param(&module).is_none());
    if torn {
        return Err(Error::config(
            "lora_targets",
            "GPT-2 files fuse q_proj, k_proj and v_proj into one matrix, but this model has separate ones",
            "remove q_proj, k_proj and v_proj from the targets, or fine-tune all weights",
        ));
    }
    model.with_adapters(train, &mut random_source(train.seed))
}

/// Returns the files that hold the adapters of `model` and the original weights; empty without adapters. `base` names the
/// base model.
pub(super) async fn pack(model: &Decoder, train: &TrainConfig, base: &str) -> Result<Files> {
    let config = model.config();
    if !train.adapts() {
        return Ok(Files::new());
    }
    let adapted = train.lora.adapted(config)?;
    let tables = if train.lora.embeddings { tables(config) } else { Vec::new() };
    let is_table = |name: &str| tables.iter().any(|(_, param)| *param == name);
    let is_adapted =
        |name: &str| adapted.iter().any(|one| name.ends_with(&format!("{}.weight", one.path)));
    let wanted = |name: &str| is_adapter(name) || is_adapted(name) || is_table(name);
    let mut ours = read_params_where(model, wanted).await?;
    let mut theirs = to_peft(config, &ours);
    for (module, param) in &tables {
        theirs.insert(peft_name(module), ours[*param].clone());
    }
    ours.retain(|name, _| is_adapted(name));
    let peft = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": train.lora.rank,
        "lora_alpha": train.lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": targets(config, train)?,
        "modules_to_save": (!tables.is_empty())
            .then(|| tables.iter().map(|(module, _)| module).collect::<Vec<_>>()),
        "fan_in_fan_out": Architecture::of(config) == Architecture::Gpt2,
        "init_lora_weights": true,
        "inference_mode": true,
    });
    let peft = serde_json::to_vec_pretty(&peft).expect("JSON values serialize");
    Ok(Files::from([
        (BASE_WEIGHTS.into(), write_safetensors(&ours)?),
        (ADAPTER_CONFIG.into(), peft),
        (ADAPTER_WEIGHTS.into(), write_safetensors(&theirs)?),
    ]))
}

/// Reads the original weights and the adapters from the files of [`pack`], by parameter name.
///
/// # Errors
/// Returns an error if a file is missing or damaged, or if the adapters belong to another model.
pub(super) fn unpack(config: &ModelConfig, files: &mut Files, place: &str) -> Result<HostTensors> {
    let mut read = |file: &str| {
        let missing = || Error::MissingFile {
            file: file.into(),
            place: place.into(),
            remedy: "copy it too, or remove training_state.json".into(),
        };
        read_safetensors(file, &files.remove(file).ok_or_else(missing)?)
    };
    let mut ours = read(BASE_WEIGHTS)?;
    let mut adapters = from_peft(config, read(ADAPTER_WEIGHTS)?)?;
    let bases = adapters.keys().filter_map(|name| name.strip_suffix(".lora.a"));
    let lost = bases.map(|base| format!("{base}.weight")).find(|base| !ours.contains_key(base));
    if let Some(name) = lost {
        return Err(Error::MissingTensor { name, file: BASE_WEIGHTS.into() });
    }
    ours.append(&mut adapters);
    Ok(ours)
}

/// Renames adapters (or their gradients) to PEFT's names; skips other tensors.
pub fn to_peft(c: &ModelConfig, ours: &HostTensors) -> HostTensors {
    let mut theirs = HostTensors::new();
    for entry in projections(c) {
        let (module, Some(part)) = (module_name(&entry), rows_of_one_param(&entry)) else {
            continue;
        };
        let [a, b] = names(&part);
        if let (Some(a), Some(b)) = (ours.get(&a), ours.get(&b)) {
            let rank = a.shape[0];
            let rows = part.start * rank..(part.start + part.rows) * rank;
            let b = HostTensor { shape: vec![part.rows, rank], values: b.values[rows].to_vec() };
            theirs.insert(format!("{ROOT}{module}.lora_A.weight"), a.clone());
            theirs.insert(format!("{ROOT}{module}.lora_B.weight"), b);
        }
    }
    theirs
}

/// Renames adapters from PEFT's names to ours; skips `modules_to_save`.
///
/// # Errors
/// Returns an error if a tensor is not a matrix or does not belong to the model.
pub fn from_peft(c: &ModelConfig, mut theirs: HostTensors) -> Result<HostTensors> {
    let mut ours = HostTensors::new();
    let remedy = "check that the adapter belongs to this model";
    let wrong = |problem: String| Error::malformed(ADAPTER_WEIGHTS, problem, remedy);
    if let Some((name, tensor)) = theirs.iter().find(|(_, tensor)| tensor.shape.len() != 2) {
        return Err(wrong(format!("`{name}` has shape {:?}, not that of a matrix", tensor.shape)));
    }
    for entry in projections(c) {
        let module = module_name(&entry);
        let [a, b] = names(&entry.parts[0]);
        // Several tensors of the file can be one of ours: they share A, and each has a slice of B.
        if let Some(tensor) = theirs.remove(&format!("{ROOT}{module}.lora_A.weight")) {
            ours.insert(a, tensor);
        }
        if let Some(slice) = theirs.remove(&format!("{ROOT}{module}.lora_B.weight")) {
            let whole =
                ours.entry(b).or_insert(HostTensor { shape: vec![0, 0], values: Vec::new() });
            whole.values.extend(slice.values);
            whole.shape = vec![whole.shape[0] + slice.shape[0], slice.shape[1]];
        }
    }
    for (module, _) in tables(c) {
        theirs.remove(&peft_name(&module));
    }
    match theirs.keys().next() {
        None => Ok(ours),
        Some(name) => Err(wrong(format!("`{name}` belongs to no projection of the model"))),
    }
}

/// Returns the file's projections, which can have adapters.
fn projections(c: &ModelConfig) -> impl Iterator<Item = Entry> {
    let all = layout(c, Architecture::of(c)).into_iter();
    all.filter(|entry| entry.shape.len() == 2 && entry.parts[0].param.starts_with("layers."))
}

/// Returns the rows that a tensor of the file takes from one parameter; none if it takes rows from several.
fn rows_of_one_param(entry: &Entry) -> Option<ParamRows> {
    let first = &entry.parts[0];
    let rows = entry.parts.iter().map(|part| part.rows).sum();
    let same = entry.parts.iter().all(|part| part.param == first.param);
    same.then(|| ParamRows { rows, ..first.clone() })
}

/// Returns the file's names of the embedding and the head with our parameters' names. PEFT trains copies of them, so a
/// tied head is saved beside the embedding.
pub(super) fn tables(c: &ModelConfig) -> Vec<(String, &'static str)> {
    let all = layout(c, Architecture::of(c)).into_iter();
    let is_embedding = |entry: &Entry| entry.parts[0].param == EMBEDDING;
    let embedding = all.filter(is_embedding).map(|entry| (module_name(&entry).into(), EMBEDDING));
    let head = if c.tie_word_embeddings { EMBEDDING } else { "lm_head.weight" };
    embedding.chain([("lm_head".into(), head)]).collect()
}

/// Returns PEFT's name of the weight of a module that is trained as a whole.
pub(super) fn peft_name(module: &str) -> String {
    format!("{ROOT}{module}.weight")
}

/// Returns true for parameters of adapters.
pub(super) fn is_adapter(name: &str) -> bool {
    name.contains(".lora.")
}

fn module_name(entry: &Entry) -> &str {
    entry.name.strip_suffix(".weight").unwrap_or(&entry.name)
}

/// Returns our names of the A and B matrices for a parameter.
fn names(part: &ParamRows) -> [String; 2] {
    let projection = part.param.strip_suffix("weight").unwrap_or(&part.param);
    ["a", "b"].map(|matrix| format!("{projection}lora.{matrix}"))
}

/// Returns the paths of the adapted modules inside a block, for PEFT's `target_modules`.
fn targets(c: &ModelConfig, train: &TrainConfig) -> Result<Vec<String>> {
    let adapted = train.lora.adapted(c)?;
    let first = ModelConfig { num_hidden_layers: 1, ..c.clone() };
    let path = |entry: Entry| {
        let param = &entry.parts[0].param;
        adapted.iter().find(|one| param.contains(one.path))?;
        Some(module_name(&entry).split_once(".0.")?.1.to_string())
    };
    Ok(projections(&first).filter_map(path).collect())
}
