//! Loads the model that `--model` names: a run, one of its checkpoints, a transformers directory, a zip of one, or a GGUF
//! file.

use std::fs;
use std::path::Path;

use clap::Args;

use super::stderr;
use crate::checkpoint::{
    AVERAGE, Checkpoint, Files, GGUF_EXTENSION, OPTIMIZER, STATE, TrainingState, WEIGHTS,
    missing_tokenizer_error, read_gguf, unpack, unpack_zip,
};
use crate::error::{Error, Result};
use crate::model::Decoder;
use crate::platform::{DeviceInfo, Store, open_device};
use crate::run::directory::RunDir;
use crate::tokenizer::Tokenizer;

/// Options that select a model and a device.
#[derive(Args)]
pub struct ModelArgs {
    /// Model: a run, a checkpoint, a transformers directory, a zip of one, or a .gguf file
    #[arg(long, value_name = "DIR")]
    pub model: String,
    /// Use the moving average of the weights (ema.safetensors), which `train --ema-decay` saves in addition
    #[arg(long)]
    pub ema: bool,
    /// auto, cpu, wgpu, vulkan or cuda[:N]
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// A model on its device.
pub struct Opened {
    /// The model, not on an autodiff device.
    pub model: Decoder,
    /// Its tokenizer, if it has one.
    pub tokenizer: Option<Tokenizer>,
    /// The device.
    pub device: DeviceInfo,
    /// Tokens per window in its training, if known.
    pub seq_len: Option<usize>,
    /// True if the model has a chat template of its own, which is not used.
    pub has_other_template: bool,
    place: String,
}

impl ModelArgs {
    /// Opens the device and loads the model.
    pub async fn open(&self) -> Result<Opened> {
        let (device, info) = open_device(&self.device).await?;
        let (mut loaded, state) = load(&self.model, self.ema).await?;
        print_notes(&loaded);
        let seq_len = state.map(|state| state.data.seq_len);
        let model = loaded.model(&device)?;
        let has_other_template = loaded.companions.has_other_template();
        let place = self.model.clone();
        Ok(Opened {
            model,
            tokenizer: loaded.tokenizer,
            device: info,
            seq_len,
            has_other_template,
            place,
        })
    }
}

/// Prints remarks on how a model's files were read.
pub fn print_notes(loaded: &Checkpoint) {
    for note in &loaded.notes {
        stderr::note(note);
    }
}

impl Opened {
    /// Returns the tokenizer.
    ///
    /// # Errors
    /// The model has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| missing_tokenizer_error(&self.place))
    }
}

/// Reads a model without its optimizer state, with the moving average of its weights if `ema` is true. Also returns the state of
/// its training, if there is one.
///
/// # Errors
/// There is no model at `place`, or no average; a file cannot be read.
pub async fn load(place: &str, ema: bool) -> Result<(Checkpoint, Option<TrainingState>)> {
    let path = Path::new(place);
    if path.is_file() && path.extension().is_some_and(|extension| extension == "zip") {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let mut files = unpack_zip(place, &bytes)?;
        if ema {
            let average = files.remove(AVERAGE).ok_or_else(|| no_average(place))?;
            files.insert(WEIGHTS.into(), average);
        }
        return without_training(files, None, place);
    }
    if path.is_file() && place.ends_with(GGUF_EXTENSION) {
        if ema {
            return Err(no_average(place));
        }
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        return Ok((read_gguf(place, &bytes)?, None));
    }
    if !path.is_dir() {
        let problem =
            if path.exists() { "this file is no model" } else { "there is no such file or folder" };
        let remedy =
            "give a run, a checkpoint, a transformers directory, a zip of one, or a .gguf file";
        return Err(Error::malformed(place, problem, remedy));
    }
    let store = Store::open(place).await?;
    let directory = RunDir::new(store.clone());
    let (path, mut files) = directory.load_model().await?;
    if ema {
        let is_there = store.list(&path).await?.iter().any(|name| name == AVERAGE);
        if !is_there {
            return Err(no_average(place));
        }
        files.insert(WEIGHTS.into(), store.read(&format!("{path}/{AVERAGE}")).await?);
    }
    let state = directory.newest_state().await?;
    let from = if path.is_empty() { place.into() } else { format!("{place}/{path}") };
    match (without_training(files, state, &from), directory.older().await) {
        (Err(error), Some(older)) => {
            let remedy = format!("or use an older checkpoint: {place}/{}", RunDir::path_of(older));
            Err(error.with_older_checkpoint(remedy))
        }
        (loaded, _) => loaded,
    }
}

fn no_average(place: &str) -> Error {
    let remedy = "train with `ema_decay`, or leave --ema out".into();
    Error::MissingFile { file: AVERAGE.into(), place: place.into(), remedy }
}

fn without_training(
    mut files: Files,
    state: Option<Vec<u8>>,
    place: &str,
) -> Result<(Checkpoint, Option<TrainingState>)> {
    files.remove(OPTIMIZER);
    let state = files.remove(STATE).or(state).map(|bytes| TrainingState::from_json(&bytes));
    let state =
        state.transpose().map_err(|error| error.renamed(|file| format!("{place}/{file}")))?;
    Ok((unpack(files, place)?, state))
}
