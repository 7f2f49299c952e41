//! Reference log-probabilities of preference tuning.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::data::{Corpus, Reference};
use crate::error::Result;
use crate::eval::answers;
use crate::model::Decoder;

/// Log-probabilities of the completions of preference pairs under the reference model (see [`Reference`]). Empty for
/// other kinds of data.
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
        let train = answers(model.valid(), train, seq_len, batch_size).await?;
        let validation = answers(model.valid(), validation, seq_len, batch_size).await?;
        Ok(Self { train, validation })
    }

    /// Attaches the log-probabilities to the training and validation pairs.
    ///
    /// # Errors
    /// Returns an error if the number of pairs differs from the recorded one.
    pub fn give(&self, [train, validation]: [Corpus; 2], beta: f64) -> Result<[Corpus; 2]> {
        let of = |all: &Vec<f32>| Reference { beta, log_probabilities: all.clone() };
        let train = train.measured_against(of(&self.train))?;
        Ok([train, validation.measured_against(of(&self.validation))?])
    }
}
