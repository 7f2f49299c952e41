//! `training_state.json`: everything but weights and moments that training needs to go on exactly.

use serde::{Deserialize, Serialize};

use super::ReferenceRecord;

use crate::config::{DataConfig, TrainConfig, from_json_strict};
use crate::data::Corpus;
use crate::error::{Error, Result};

const FILE: &str = "training_state.json";
/// Raised when an older program could not go on from a newer file.
const FORMAT_VERSION: u32 = 4;

/// Where a run stands.
///
/// Batches, dropout and learning rate are pure functions of `train.seed` and the step, so the step is
/// both the data cursor and the state of every random generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingState {
    /// Version of this file's form.
    pub format_version: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Micro-batches drawn: `step * train.grad_accum`.
    pub batches_drawn: u64,
    /// Tokens trained on: the batch size may have changed on the way.
    pub tokens_seen: u64,
    /// Optimizer and schedule.
    pub train: TrainConfig,
    /// Windows.
    pub data: DataConfig,
    /// What it was trained on.
    pub corpus: CorpusRecord,
    /// What preference pairs are measured against.
    pub reference: ReferenceRecord,
    /// The model that it began with, as it was named then; empty of a fresh one.
    pub base: String,
    /// The tokenizer, in the command line's words.
    pub tokenizer: String,
    /// Draw a live sample every so many steps; 0 never.
    pub sample_every: u64,
    /// The lowest validation loss so far.
    pub best_val_loss: Option<f64>,
}

/// What a run was trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// Hash of the training tokens, hexadecimal: see [`Corpus::fingerprint`].
    pub fingerprint: String,
    /// Training tokens.
    pub train_tokens: u64,
}

impl CorpusRecord {
    /// Of a training corpus.
    pub fn of(corpus: &Corpus) -> Self {
        let fingerprint = format!("{:016x}", corpus.fingerprint());
        Self { fingerprint, train_tokens: corpus.len() as u64 }
    }
}

impl Default for TrainingState {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            step: 0,
            batches_drawn: 0,
            tokens_seen: 0,
            train: TrainConfig::default(),
            data: DataConfig::default(),
            corpus: CorpusRecord::default(),
            reference: ReferenceRecord::default(),
            base: String::new(),
            tokenizer: String::new(),
            sample_every: 0,
            best_val_loss: None,
        }
    }
}

impl TrainingState {
    /// Writes it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("settings serialize");
        bytes.push(b'\n');
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    /// A damaged file, one of a newer version, or one whose cursor contradicts its step.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let mut state: Self = from_json_strict(bytes, FILE)?;
        if state.format_version > FORMAT_VERSION {
            return Err(Error::malformed(
                FILE,
                format!("it has format version {}", state.format_version),
                format!("this program reads up to version {FORMAT_VERSION}: update it"),
            ));
        }
        state.train.validate()?;
        if state.step.checked_mul(state.train.grad_accum as u64) != Some(state.batches_drawn) {
            return Err(Error::malformed(
                FILE,
                format!("{} batches drawn do not make {} steps", state.batches_drawn, state.step),
                "it was changed by hand: restore grad_accum and batches_drawn",
            ));
        }
        if state.tokens_seen == 0 {
            // Files of version 1 do not tell: it then follows from the settings.
            let per_batch = state.train.batch_size as u64 * state.data.seq_len as u64;
            state.tokens_seen = state.batches_drawn.saturating_mul(per_batch);
        }
        Ok(state)
    }
}
