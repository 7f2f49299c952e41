//! A checkpoint that was read into memory.

use burn::tensor::Device;

use super::adapter::{self, ADAPTER_WEIGHTS, adapt};
use super::companions::Companions;
use super::files::{AVERAGE, TOKENIZER, WEIGHTS};
use super::state::TrainingState;
use super::tensors::{HostTensors, tensor_source};
use crate::config::{ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::model::Decoder;
use crate::tokenizer::Tokenizer;

/// Optimizer state by name, for [`Optimizer::load_state`](crate::optim::Optimizer::load_state).
pub type OptimizerState = Vec<(String, Vec<f32>)>;

/// The contents of a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// Model configuration.
    pub config: ModelConfig,
    /// Weights by parameter name, flattened.
    pub weights: HostTensors,
    /// Tokenizer; none if the checkpoint has no `tokenizer.json`.
    pub tokenizer: Option<Tokenizer>,
    /// Files that only accompany the model.
    pub companions: Companions,
    /// Training state; none if the checkpoint holds only a model.
    pub training: Option<(TrainingState, OptimizerState)>,
    /// Moving average of the weights, like [`Self::weights`]; none without one.
    pub average: Option<HostTensors>,
    /// Remarks on how the files were read, for people.
    pub notes: Vec<String>,
    /// LoRA adapters and the original values of the adapted weights, by parameter name; empty without adapters.
    pub(super) adapters: HostTensors,
}

impl Checkpoint {
    /// Takes the tokenizer out. `place` names the checkpoint in error messages.
    ///
    /// # Errors
    /// Returns an error if there is no tokenizer.
    pub fn take_tokenizer(&mut self, place: &str) -> Result<Tokenizer> {
        self.tokenizer.take().ok_or_else(|| missing_tokenizer_error(place))
    }

    /// Builds the model on `device` and takes the weights out.
    ///
    /// # Errors
    /// Returns an error if the weights do not fit the configuration.
    pub fn model(&mut self, device: &Device) -> Result<Decoder> {
        let weights = std::mem::take(&mut self.weights);
        Decoder::new(&self.config, device, &mut *tensor_source(weights, WEIGHTS.into()))
    }

    /// Builds the moving average of the model on `device` and takes it out; none without one.
    ///
    /// # Errors
    /// Returns an error if it does not fit the configuration.
    pub fn average_model(&mut self, device: &Device) -> Result<Option<Decoder>> {
        let Some(average) = self.average.take() else { return Ok(None) };
        Decoder::new(&self.config, device, &mut *tensor_source(average, AVERAGE.into())).map(Some)
    }

    /// Builds the model for training. With LoRA it has the checkpoint's adapters, or fresh ones if there are none.
    ///
    /// # Errors
    /// Returns the errors of [`Self::model`] and [`adapt`].
    pub fn model_in_training(&mut self, train: &TrainConfig, device: &Device) -> Result<Decoder> {
        let adapters = std::mem::take(&mut self.adapters);
        if adapters.is_empty() {
            return adapt(self.model(device)?, train);
        }
        let (adapters, base): (HostTensors, HostTensors) =
            adapters.into_iter().partition(|(name, _)| adapter::is_adapter(name));
        self.weights.extend(base);
        self.model(device)?
            .with_adapters(train, &mut *tensor_source(adapters, ADAPTER_WEIGHTS.into()))
    }
}

/// Returns the error for a model in `place` without a tokenizer.
pub fn missing_tokenizer_error(place: &str) -> Error {
    Error::MissingFile {
        file: TOKENIZER.into(),
        place: place.into(),
        remedy: "add the tokenizer.json that the model was trained with".into(),
    }
}

/// Returns a note if the tokenizer in `file` has ids without a row in the model's embedding. As in transformers, such a
/// model opens, and only texts with these tokens are errors.
pub(super) fn compare_vocabulary(
    file: &str,
    config: &ModelConfig,
    tokenizer: Option<&Tokenizer>,
) -> Option<String> {
    let ids = tokenizer?.vocab_size();
    let rows = config.vocab_size;
    (ids > rows).then(|| {
        format!("{file}: it has {ids} ids, but the model's vocabulary has {rows}; tokens from id {rows} on cannot be used")
    })
}
