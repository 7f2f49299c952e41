//! Interface between the training loop and the edge that drives it.
//!
//! The edge implements [`Control`]: it receives typed events, and between two steps it may pause, move the end, adjust
//! settings or use the run for something else.

use super::{RankFigures, Run, Scores};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::eval::Evaluation;
use crate::platform::ProfileReport;
use crate::train::StepFigures;

/// The edge that drives the training loop.
pub trait Control {
    /// Error type of the edge.
    type Failure: From<Error>;

    /// Calls `act` with the run. The loop does not hold the run while it waits, so that other work can use it in between.
    ///
    /// # Errors
    /// There is no run; any error of `act`.
    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T>;

    /// Receives an event.
    ///
    /// # Errors
    /// The edge can no longer report. Training ends.
    fn emit(&self, event: TrainEvent) -> std::result::Result<(), Self::Failure>;

    /// Returns the step after which training ends. It may change between steps.
    fn until(&self) -> u64;

    /// Returns true if training is to end after the current step.
    fn is_paused(&self) -> bool;

    /// Returns the number of steps to profile from `step` on, usually 0, and resets it.
    fn take_profile(&self, step: u64) -> u64;

    /// Called before every step, which changes the weights.
    fn before_step(&self) {}

    /// Saves a checkpoint and, once it is complete, records its step in [`Run::saved`]. `val_loss` is the validation loss at this
    /// step, if it was evaluated.
    ///
    /// # Errors
    /// As [`Snapshot::save`](super::Snapshot::save).
    fn save(&self, val_loss: Option<f64>) -> impl Future<Output = Result<Saving>>;

    /// Loads the checkpoint of `step`, for a rollback.
    ///
    /// # Errors
    /// The edge does not support rollbacks; reading fails.
    fn load(&self, step: u64) -> impl Future<Output = Result<Checkpoint>> {
        let problem = format!("this program cannot return to the checkpoint of step {step}");
        std::future::ready(Err(Error::config("on_spike", problem, "use `skip`")))
    }

    /// Returns the step of a checkpoint that was [being written](Saving::UnderWay), once it is complete. With `wait`, waits for
    /// it.
    ///
    /// # Errors
    /// Writing failed.
    fn saved(&self, wait: bool) -> Result<Option<u64>> {
        let _ = wait;
        Ok(None)
    }
}

/// Outcome of a save.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Saving {
    /// The checkpoint is complete.
    Done,
    /// It is being written, and [`Control::saved`] reports its end.
    UnderWay,
    /// Nothing was written, since the disk lacks free space.
    Refused {
        /// Bytes of the checkpoint.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
}

/// Intervals of the reports to an edge, and optional work of the loop.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps that may be queued on the device before their figures are read together.
    pub queued_steps: usize,
    /// Milliseconds after which the figures of fewer steps are read as well.
    pub read_every_ms: f64,
    /// Length of a live sample, in tokens.
    pub sample_tokens: usize,
    /// Saves after every evaluation, too.
    pub save_evaluated: bool,
    /// Samples from a new run before its first step, and saves it.
    pub keeps_start: bool,
    /// Steps between two comparisons of the weights of all ranks; 0 turns them off.
    pub compare_weights_every: u64,
    /// Measures the utilization of the device, which must be a GPU, and compiles its kernels before the first step.
    pub watches_gpu: bool,
}

impl Default for Pace {
    /// Returns the pace of a program without a live display.
    fn default() -> Self {
        Self {
            queued_steps: 10,
            read_every_ms: 500.0,
            sample_tokens: 120,
            save_evaluated: false,
            keeps_start: false,
            compare_weights_every: 100,
            watches_gpu: false,
        }
    }
}

/// An event of training.
#[derive(Debug)]
pub enum TrainEvent {
    /// Kernels are being compiled before the first step.
    Compiling {
        /// Number of compiled kernels.
        done: u64,
        /// Number of all kernels.
        total: u64,
    },
    /// Training starts.
    Started {
        /// Number of steps already done.
        step: u64,
    },
    /// A step was made.
    Step {
        /// Its figures.
        figures: StepFigures,
        /// Number of steps of the run.
        steps: u64,
        /// Tokens per second, over the steps whose figures were read together.
        tokens_per_second: f64,
        /// Seconds until the last step at this speed.
        seconds_left: f64,
        /// Utilization of the GPU in the steps up to this one, from 0 to 1, if it was measured.
        busy: Option<f64>,
    },
    /// The loss, or the gradient norm, of a step is far above those before.
    Spike(Spike),
    /// Training ends early, since the validation loss did not improve in the last evaluations.
    StoppedEarly {
        /// Number of steps done.
        step: u64,
        /// Lowest validation loss, on which the last evaluations did not improve.
        best: f64,
        /// Number of evaluations since.
        evaluations: u64,
    },
    /// An evaluation is under way.
    Evaluating {
        /// Number of tokens predicted so far.
        tokens: u64,
        /// Number of all tokens.
        total: u64,
    },
    /// An evaluation of the validation split is complete.
    Evaluated {
        /// Number of steps done.
        step: u64,
        /// The result.
        evaluation: Evaluation,
    },
    /// A sample was generated.
    Sampled {
        /// Number of steps done.
        step: u64,
        /// The text.
        text: String,
    },
    /// A checkpoint was saved.
    Saved {
        /// Its step.
        step: u64,
    },
    /// A checkpoint was not saved, since the disk lacks free space. Training continues.
    SaveRefused {
        /// Its step.
        step: u64,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Work of the ranks of a run on several.
    Ranks(RankFigures),
    /// Some steps were profiled.
    Profiled(ProfileReport),
}

/// A loss spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// The step, from 1.
    pub step: u64,
    /// Its loss.
    pub loss: f32,
    /// Its gradient norm before clipping; none if gradients overflowed f16.
    pub grad_norm: Option<f32>,
    /// Scores of both, relative to the steps before.
    pub scores: Scores,
    /// Action that was taken.
    pub action: SpikeAction,
}

/// Action after a spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikeAction {
    /// The step was made.
    Reported,
    /// The step was counted, and its batches did not change the weights.
    Skipped,
    /// The run was rolled back to the checkpoint of step `to`, and continues with the batches after those of the spike.
    RolledBack {
        /// The step of the checkpoint.
        to: u64,
    },
}

/// Result of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Number of steps done.
    pub step: u64,
    /// Validation loss after the last step, if it was evaluated.
    pub val_loss: Option<f64>,
    /// True if training ended early, since the validation loss did not improve in the last evaluations.
    pub stopped_early: bool,
}
