//! Reference log-probabilities of preference tuning.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::data::Corpus;
use crate::error::Result;
use crate::model::Decoder;
use crate::objective::reference_log_probs;

/// Log-probabilities of the completions of preference pairs under the model that a run started from, in nats. Empty
/// for other kinds of data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceRecord {
    /// Log-probabilities of the training completions, nats.
    pub train: Vec<f32>,
    /// Log-probabilities of the validation completions, nats.
    pub validation: Vec<f32>,
}

impl ReferenceRecord {
    /// Evaluates the reference model on the training and validation pairs once, so that it need not stay in memory during
    /// training.
    ///
    /// # Errors
    /// Returns an error if a token is outside the model's vocabulary or the device was lost.
    pub async fn measure(
        model: &Decoder,
        [train, validation]: [&Corpus; 2],
        seq_len: usize,
        batch_size: usize,
    ) -> Result<Self> {
        let model = model.valid();
        let train = reference_log_probs(&model, train, seq_len, batch_size).await?;
        let validation = reference_log_probs(&model, validation, seq_len, batch_size).await?;
        Ok(Self { train, validation })
    }

    /// Attaches the log-probabilities to the training and validation pairs.
    ///
    /// # Errors
    /// Returns an error if the number of pairs differs from the recorded one.
    pub fn give(&self, [train, validation]: [Corpus; 2]) -> Result<[Corpus; 2]> {
        let train = train.with_reference(self.train.clone())?;
        Ok([train, validation.with_reference(self.validation.clone())?])
    }
}
