//! What preference tuning is measured against, between the model that it begins with, checkpoints and corpora.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::data::{Corpus, Reference};
use crate::error::Result;
use crate::eval::answers;
use crate::model::Decoder;

/// The log-probabilities of preference pairs' answers under the model that a run began with: see [`Reference`].
/// Empty where it is trained on anything else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceRecord {
    /// Of the training pairs.
    pub train: Vec<f32>,
    /// Of the validation pairs.
    pub validation: Vec<f32>,
}

impl ReferenceRecord {
    /// Measures `model` on training and validation pairs, so that it need not stay in memory beside the one that is
    /// tuned.
    ///
    /// # Errors
    /// A token outside the model's vocabulary; a lost device.
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

    /// Gives training and validation pairs their reference.
    ///
    /// # Errors
    /// Other pairs than it was measured on.
    pub fn give(&self, [train, validation]: [Corpus; 2], beta: f64) -> Result<[Corpus; 2]> {
        let of = |all: &Vec<f32>| Reference { beta, log_probabilities: all.clone() };
        let train = train.measured_against(of(&self.train))?;
        Ok([train, validation.measured_against(of(&self.validation))?])
    }
}
