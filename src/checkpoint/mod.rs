//! Checkpoints: named bytes in, model and training out, and back.
//!
//! A checkpoint is a directory, or a zip of one: `config.json`, `model.safetensors`, `tokenizer.json` and
//! `tokenizer_config.json` as transformers expects them, and `training_state.json` with
//! `optimizer.safetensors` to go on exactly where training stopped; of adapters, the files that `adapter.rs` tells of.
//! Nothing here touches a disk.

mod adapter;
mod archive;
mod gguf;
mod hf_config;
mod layout;
mod reference;
mod state;
mod tensors;
mod turns;

pub use adapter::{
    ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_WEIGHTS, adapt, from_peft, to_peft,
};
pub use archive::{checkpoint_in, pack_zip, unpack_zip};
pub use gguf::{EXTENSION as GGUF_EXTENSION, read_gguf};
pub use hf_config::{from_hf, to_hf};
pub use layout::Format;
pub use reference::ReferenceRecord;
pub use state::{CorpusRecord, TrainingState};
pub use tensors::{
    HostTensor, HostTensors, from_file_layout, read_float_tensors, read_ids, read_safetensors,
    tensor_source, to_file_layout, write_safetensors,
};
pub use turns::{prepare_for_turns, takes_turns};

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde_json::{Value, json};

use crate::config::{ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Decoder, for_each_param, read_floats};
use crate::optim::Optimizer;
use crate::tokenizer::{CHAT_TEMPLATE, Tokenizer};

/// File names and contents.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The architecture.
pub const CONFIG: &str = "config.json";
/// The weights.
pub const WEIGHTS: &str = "model.safetensors";
/// Which of several files holds which tensor, where the weights are sharded.
pub const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
/// The tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// What `AutoTokenizer` wants to know about it.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Where that file keeps how conversations become text.
const TEMPLATE_KEY: &str = "chat_template";
/// Step, settings, cursor. Written last: a directory without it is not a complete checkpoint.
pub const STATE: &str = "training_state.json";
/// The optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";

/// The optimizer's memory by name, as [`Optimizer::load_state`] takes it.
pub type Moments = Vec<(String, Vec<f32>)>;

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Loaded {
    /// The architecture.
    pub config: ModelConfig,
    /// The parameters under our names.
    pub weights: HostTensors,
    /// The tokenizer, unless the directory has none.
    pub tokenizer: Option<Tokenizer>,
    /// Where training stopped, unless the directory holds only a model.
    pub training: Option<(TrainingState, Moments)>,
    /// What training had adapters beside, and the adapters, under our names; empty without.
    adapters: HostTensors,
}

impl Loaded {
    /// Takes the tokenizer. `place` names the checkpoint in error messages.
    ///
    /// # Errors
    /// A model without one.
    pub fn take_tokenizer(&mut self, place: &str) -> Result<Tokenizer> {
        self.tokenizer.take().ok_or_else(|| missing_tokenizer(place))
    }

    /// Builds the model on `device`, taking the weights.
    ///
    /// # Errors
    /// Weights that do not fit the configuration.
    pub fn model(&mut self, device: &Device) -> Result<Decoder> {
        let weights = std::mem::take(&mut self.weights);
        Decoder::new(&self.config, device, &mut *tensor_source(weights, WEIGHTS.into()))
    }

    /// [`Self::model`] as `train` trains it: with its adapters, or fresh ones, where it has any.
    ///
    /// # Errors
    /// As of [`Self::model`] and [`adapt`].
    pub fn model_in_training(&mut self, train: &TrainConfig, device: &Device) -> Result<Decoder> {
        let adapters = std::mem::take(&mut self.adapters);
        if adapters.is_empty() {
            return adapt(self.model(device)?, train);
        }
        let (adapters, base): (HostTensors, HostTensors) =
            adapters.into_iter().partition(|(name, _)| adapter::is_adapter(name));
        self.weights.extend(base);
        self.model(device)?.adapted(train, &mut *tensor_source(adapters, ADAPTER_WEIGHTS.into()))
    }
}

/// A model in `place` without its tokenizer.
pub fn missing_tokenizer(place: &str) -> Error {
    Error::MissingFile {
        file: TOKENIZER.into(),
        place: place.into(),
        remedy: "copy the tokenizer.json that this model was trained with into it".into(),
    }
}

/// Reads the model's parameters from the device, under our names.
pub async fn read_params(model: &Decoder) -> Result<HostTensors> {
    read_params_where(model, |_| true).await
}

/// [`read_params`] of those whose name is `wanted`.
async fn read_params_where(model: &Decoder, wanted: impl Fn(&str) -> bool) -> Result<HostTensors> {
    let mut params: Vec<(String, Vec<usize>, Tensor<1>)> = Vec::new();
    for_each_param(model, &mut |name, shape, value| {
        if wanted(name) {
            params.push((name.into(), shape.to_vec(), value));
        }
    });
    let mut tensors = HostTensors::new();
    for (name, shape, value) in params {
        tensors.insert(name, HostTensor { shape, values: read_floats(value).await? });
    }
    Ok(tensors)
}

/// Writes a checkpoint to memory. Without `training` it is a model alone; with it, `model` is the one in training.
///
/// # Errors
/// A lost device.
pub async fn pack(
    model: &Decoder,
    tokenizer: Option<&Tokenizer>,
    training: Option<(&TrainingState, &Optimizer)>,
) -> Result<Files> {
    let config = model.config();
    let mut files = Files::new();
    files.insert(CONFIG.into(), to_hf(config));
    let weights = to_file_layout(config, &read_params(&model.clone().merged()).await?);
    files.insert(WEIGHTS.into(), write_safetensors(&weights)?);
    if let Some(tokenizer) = tokenizer {
        files.insert(TOKENIZER.into(), tokenizer.to_json());
        files.insert(TOKENIZER_CONFIG.into(), tokenizer_config(config, tokenizer));
    }
    if let Some((state, optimizer)) = training {
        let mut moments = HostTensors::new();
        for (name, value) in optimizer.state() {
            let values = read_floats(value).await?;
            moments.insert(name, HostTensor { shape: vec![values.len()], values });
        }
        files.insert(OPTIMIZER.into(), write_safetensors(&moments)?);
        files.append(&mut adapter::pack(model, &state.train, &state.base).await?);
        files.insert(STATE.into(), state.to_json());
    }
    Ok(files)
}

/// Reads a checkpoint from memory: ours, a Hugging Face GPT-2 or Llama directory, or a GGUF file. `place` names
/// it in error messages.
///
/// # Errors
/// A missing or damaged file; weights that do not fit the configuration.
pub fn unpack(files: Files, place: &str) -> Result<Loaded> {
    read(files, place).map_err(|error| error.renamed(|file| format!("{place}/{file}")))
}

/// [`unpack`] with errors that name files as they are called inside `place`.
fn read(mut files: Files, place: &str) -> Result<Loaded> {
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
        "give a checkpoint directory (one with config.json and model.safetensors) or a .gguf file";
    let config = files.remove(CONFIG).ok_or_else(|| missing(CONFIG, remedy))?;
    let config = from_hf(&config)?;
    let theirs = match files.remove(WEIGHTS) {
        Some(bytes) => read_safetensors(WEIGHTS, &bytes)?,
        None => {
            let index = files
                .remove(WEIGHTS_INDEX)
                .ok_or_else(|| missing(WEIGHTS, "copy or download the weights as well"))?;
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
            let moments = files.remove(OPTIMIZER).ok_or_else(|| {
                missing(OPTIMIZER, "copy it as well, or remove training_state.json")
            })?;
            let moments = read_safetensors(OPTIMIZER, &moments)?;
            if state.train.adapts() {
                adapters = adapter::unpack(&config, &mut files, place)?;
            }
            Some((state, moments.into_iter().map(|(name, t)| (name, t.values)).collect()))
        }
    };
    Ok(Loaded { config, weights, tokenizer, training, adapters })
}

/// `Err` if the tokenizer in `file` has ids that the model does not have.
fn same_vocabulary(file: &str, config: &ModelConfig, tokenizer: Option<&Tokenizer>) -> Result<()> {
    let (ids, rows) = (tokenizer.map_or(0, Tokenizer::vocab_size), config.vocab_size);
    if ids <= rows {
        return Ok(());
    }
    let problem = format!("it has {ids} ids, but the model only {rows}");
    Err(Error::malformed(file, problem, "use the tokenizer this model was trained with"))
}

/// The files that an index of sharded weights names.
///
/// # Errors
/// An index of another form.
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

/// Whether a `tokenizer_config.json` is that of a model which takes turns.
pub fn has_chat_template(tokenizer_config: &[u8]) -> bool {
    let config: Option<Value> = serde_json::from_slice(tokenizer_config).ok();
    config.is_some_and(|config| config[TEMPLATE_KEY].is_string())
}

/// What `AutoTokenizer.from_pretrained` reads beside `tokenizer.json`.
fn tokenizer_config(c: &ModelConfig, tokenizer: &Tokenizer) -> Vec<u8> {
    let special = |id: Option<u32>| {
        let found = tokenizer.special_tokens().find(|(_, special)| Some(*special) == id);
        found.map(|(token, _)| token.to_string())
    };
    let mut value = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": c.max_position_embeddings,
        "bos_token": special(c.bos_token_id),
        "eos_token": special(c.eos_token_id),
        "clean_up_tokenization_spaces": false,
    });
    if takes_turns(c, tokenizer) {
        value[TEMPLATE_KEY] = CHAT_TEMPLATE.into();
    }
    serde_json::to_vec_pretty(&value).expect("JSON values serialize")
}
