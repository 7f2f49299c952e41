//! The current run and the stored ones, as the page shows them.

use serde::{Deserialize, Serialize};

use super::metrics::MetricInfo;
use crate::config::Estimate;
use crate::platform::DeviceInfo;
use crate::run::RunConfig;

/// A run in the browser's storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunSummary {
    /// Name.
    pub name: String,
    /// Step of the newest checkpoint.
    pub step: u64,
    /// Time of that checkpoint in milliseconds since 1970-01-01 UTC.
    pub saved_at: f64,
    /// Configuration; none if its files cannot be read.
    pub config: Option<RunConfig>,
    /// Number of parameters.
    pub parameters: u64,
    /// Training tokens processed.
    pub tokens_seen: u64,
    /// Lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Steps of the kept checkpoints in ascending order.
    pub kept: Vec<u64>,
    /// Size in bytes.
    pub bytes: u64,
    /// The stored run whose weights it shares, as runs with adapters do; none if its own files are complete.
    pub base: Option<String>,
    /// True if the model was trained on conversations and can chat.
    pub has_chat_template: bool,
}

/// The current run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunInfo {
    /// Configuration; `model.vocab_size` is the tokenizer's.
    pub config: RunConfig,
    /// Completed steps.
    pub step: u64,
    /// Estimated costs.
    pub estimate: Estimate,
    /// Number of training tokens; 0 without training data.
    pub train_tokens: u64,
    /// Number of validation tokens.
    pub val_tokens: u64,
    /// Bytes per token on the training data; 0 without training data.
    pub bytes_per_token: f64,
    /// Device.
    pub device: DeviceInfo,
    /// True if the model was trained on conversations and can chat.
    pub has_chat_template: bool,
    /// True if the run can be trained; false until it has a text.
    pub trainable: bool,
    /// Metrics that its training and evaluation report beside the loss, in the order to show them.
    pub metrics: Vec<MetricInfo>,
    /// Notice for the user, such as training data that differs from the run's own.
    pub notice: Option<String>,
}
