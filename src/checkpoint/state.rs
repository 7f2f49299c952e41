//! `training_state.json`: what exact resumption needs beside the weights and the optimizer state.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ReferenceRecord;

use crate::config::{DataConfig, TrainConfig, from_json_strict};
use crate::data::Corpus;
use crate::error::{Error, Result};

const FILE: &str = "training_state.json";
/// Version of the file format, raised when older programs cannot resume from a newer file.
const FORMAT_VERSION: u32 = 6;

/// Progress and settings of a run.
///
/// Batches, dropout and learning rate are pure functions of `train.seed` and the step, so the step is both the position
/// in the data and the state of every random generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingState {
    /// Version of the file format.
    pub format_version: u32,
    /// Completed optimizer steps.
    pub step: u64,
    /// Micro-batches drawn: `train.grad_accum` for each step, and for each step that [`Self::passed_over`] counts.
    pub batches_drawn: u64,
    /// Training tokens processed. Not a function of the step, since the batch size may have changed.
    pub tokens_seen: u64,
    /// Training settings.
    pub train: TrainConfig,
    /// Data settings.
    pub data: DataConfig,
    /// Identity of the training data.
    pub corpus: CorpusRecord,
    /// Reference log-probabilities of preference pairs.
    pub reference: ReferenceRecord,
    /// Name of the model that was fine-tuned; empty if training started from scratch.
    pub base: String,
    /// Tokenizer specification, as `--tokenizer` takes it.
    pub tokenizer: String,
    /// Steps between samples; 0 disables them.
    pub sample_every: u64,
    /// Lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Number of ranks that trained together. For information: another number can resume.
    pub ranks: usize,
    /// State of long runs; empty if all of it is at its default. The page, which does not support long runs, only checks whether
    /// it is empty.
    pub long_run: Map<String, Value>,
}

/// Identity of the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusRecord {
    /// Hexadecimal [`Corpus::fingerprint`] of the training tokens.
    pub fingerprint: String,
    /// Number of training tokens.
    pub train_tokens: u64,
}

impl CorpusRecord {
    /// Records the identity of a training corpus.
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
            ranks: 1,
            long_run: Map::new(),
        }
    }
}

impl TrainingState {
    /// Serializes the state as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("settings serialize");
        bytes.push(b'\n');
        bytes
    }

    /// Returns the number of steps whose batches were skipped by rollbacks.
    pub fn passed_over(&self) -> u64 {
        self.long_run.get("passed_over").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Deserializes and validates the state.
    ///
    /// # Errors
    /// Returns an error if the file is damaged or of a newer version, or if its number of batches does not match its step.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        // Before anything else: a newer version may have other keys and values.
        let raw = serde_json::from_slice::<Value>(bytes).ok();
        let found = raw.and_then(|state| state.get("format_version")?.as_u64()).unwrap_or(0);
        if found > FORMAT_VERSION.into() {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(Error::NewerFormat { what: FILE.into(), found, known: FORMAT_VERSION });
        }
        let mut state: Self = from_json_strict(bytes, FILE)?;
        state.train.validate()?;
        let drawn = state.step.checked_add(state.passed_over());
        let batches = drawn.and_then(|drawn| drawn.checked_mul(state.train.grad_accum as u64));
        if batches != Some(state.batches_drawn) {
            return Err(Error::malformed(
                FILE,
                format!(
                    "{} batches do not make {} steps of {} batches",
                    state.batches_drawn,
                    drawn.unwrap_or(u64::MAX),
                    state.train.grad_accum
                ),
                "restore the original grad_accum and batches_drawn",
            ));
        }
        if state.tokens_seen == 0 {
            // Files of version 1 lack it, but their batch size never changed.
            let sequences = state.batches_drawn.saturating_mul(state.train.batch_size as u64);
            state.tokens_seen = sequences.saturating_mul(state.data.seq_len as u64);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_version_is_named_as_such_whatever_else_it_holds() {
        let newer =
            br#"{"format_version": 99, "train": {"optimizer": "of the future"}, "unknown": 1}"#;
        let error = TrainingState::from_json(newer).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 99, .. }), "{error}");
        let damaged = br#"{"format_version": 6, "unknown": 1}"#;
        assert!(matches!(TrainingState::from_json(damaged), Err(Error::UnknownKey { .. })));
    }
}
