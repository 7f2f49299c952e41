//! Progress reports of training.

use serde::Serialize;
use std::ops::ControlFlow;

/// Stage of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainStage {
    /// Counting words; progress in bytes of text.
    Counting,
    /// Merging pairs; progress in tokens of the vocabulary.
    Merging,
}

/// Progress of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrainProgress {
    /// Current stage.
    pub stage: TrainStage,
    /// Bytes or tokens done.
    pub done: u64,
    /// Total bytes or tokens; 0 while counting, when the total is unknown.
    pub total: u64,
}

/// Callback for progress reports. `Break` stops training with
/// [`Error::Cancelled`](crate::error::Error::Cancelled).
pub(super) type Progress<'a> = &'a mut dyn FnMut(TrainProgress) -> ControlFlow<()>;
