//! What the training loop and the edge that drives it exchange.
//!
//! The edge implements [`Control`]: it receives typed events, and between two steps it may pause, move the end, adjust
//! settings or use the run for something else.

use super::Run;
use crate::error::{Error, Result};
use crate::eval::Evaluation;
use crate::platform::ProfileReport;
use crate::train::StepFigures;

/// What the loop requires of the edge that drives it.
pub trait Control {
    /// Failures of the edge.
    type Failure: From<Error>;

    /// Runs `act` on the run. The loop does not hold the run while it waits, so other work may use it in between.
    ///
    /// # Errors
    /// No run; the errors of `act`.
    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T>;

    /// Receives an event.
    ///
    /// # Errors
    /// An edge that cannot report any more; training ends then.
    fn emit(&self, event: TrainEvent) -> std::result::Result<(), Self::Failure>;

    /// The step after which training ends. It may change between steps.
    fn until(&self) -> u64;

    /// Whether training is to end after the current step.
    fn is_paused(&self) -> bool;

    /// Takes the number of steps to profile from `step` on; 0 for none.
    fn take_profile(&self, step: u64) -> u64;

    /// Called before every step, which changes the weights.
    fn before_step(&self) {}

    /// Saves a checkpoint of the run as it is now, with its validation loss if it was just evaluated, and records its step in
    /// [`Run::saved`].
    ///
    /// # Errors
    /// As of [`Snapshot::save`](super::Snapshot::save).
    fn save(&self, val_loss: Option<f64>) -> impl Future<Output = Result<()>>;
}

/// How an edge wants to be served.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps that may be queued on the device before their figures are read together.
    pub queued_steps: usize,
    /// Time after which figures are read even of fewer steps, in milliseconds.
    pub read_every_ms: f64,
    /// Length of a live sample, in tokens.
    pub sample_tokens: usize,
    /// Whether to save at every evaluation too.
    pub save_evaluated: bool,
    /// Whether to measure how busy the device is, which must be a GPU, and to compile its kernels ahead.
    pub watches_gpu: bool,
}

impl Default for Pace {
    /// Settings for a program that nobody watches closely.
    fn default() -> Self {
        Self {
            queued_steps: 10,
            read_every_ms: 500.0,
            sample_tokens: 120,
            save_evaluated: false,
            watches_gpu: false,
        }
    }
}

/// An event of training.
#[derive(Debug)]
pub enum TrainEvent {
    /// Kernels are being compiled before the first step.
    Compiling {
        /// Kernels compiled so far.
        done: u64,
        /// All kernels.
        total: u64,
    },
    /// Training begins after this step.
    Started {
        /// Steps done.
        step: u64,
    },
    /// Figures of one step.
    Step {
        /// The figures.
        figures: StepFigures,
        /// Steps in all.
        steps: u64,
        /// Tokens per second of the steps that were read together.
        tokens_per_second: f64,
        /// Seconds until the last step at this speed.
        seconds_left: f64,
        /// Share of the time that a GPU computed, if it was measured for the steps up to this one.
        busy: Option<f64>,
    },
    /// An evaluation is under way.
    Evaluating {
        /// Tokens predicted so far.
        tokens: u64,
        /// All tokens.
        total: u64,
    },
    /// The validation split was evaluated.
    Evaluated {
        /// Steps done.
        step: u64,
        /// The result.
        evaluation: Evaluation,
    },
    /// A live sample was drawn.
    Sampled {
        /// Steps done.
        step: u64,
        /// The text.
        text: String,
    },
    /// A checkpoint was saved.
    Saved {
        /// The step it holds.
        step: u64,
    },
    /// Some steps were profiled.
    Profiled(ProfileReport),
}

/// The outcome of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Steps done.
    pub step: u64,
    /// Validation loss after that step, if it was evaluated.
    pub val_loss: Option<f64>,
}
