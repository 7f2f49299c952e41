//! Events that the engine reports to the page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::History;
use super::metrics::StepEvent;
use super::report::{Drawn, Token};
use super::runs::{RunInfo, RunSummary};
use crate::check::CheckReport;
use crate::config::Estimate;
use crate::platform::{DeviceInfo, ProfileReport};
use crate::run::RunConfig;
use crate::sample::DraftStats;

/// An event that the engine reports to the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The device was opened.
    Ready {
        /// Device.
        device: DeviceInfo,
        /// Runs in the browser's storage, newest first.
        runs: Vec<RunSummary>,
    },
    /// Long work before the first step progressed.
    Progress {
        /// Description of the work.
        stage: String,
        /// Units done.
        done: u64,
        /// Total units; 0 if unknown.
        total: u64,
    },
    /// A run was loaded and waits.
    Loaded {
        /// The loaded run.
        info: Box<RunInfo>,
    },
    /// The files of the model that was just loaded hold its curves and samples.
    History {
        /// The curves and samples.
        history: History,
    },
    /// The current run was deleted; no model is loaded now.
    Gone,
    /// Settings of the current run were changed.
    Adjusted {
        /// All current training settings.
        config: Box<RunConfig>,
        /// Current costs.
        estimate: Estimate,
    },
    /// Training started or stopped.
    Training {
        /// True if training is running.
        running: bool,
        /// Completed steps.
        step: u64,
    },
    /// Training ended because a loss was not finite. The current model computes nothing any more.
    Diverged {
        /// The step, from 1, whose loss was not finite.
        step: u64,
        /// Step of the newest kept checkpoint with which losses were finite; none if there is none.
        good: Option<u64>,
    },
    /// One or more training steps were completed.
    Step {
        /// Metrics of the last step.
        report: StepEvent,
    },
    /// The validation data was evaluated.
    Evaluated {
        /// Step of the model.
        step: u64,
        /// Mean loss over the objective's terms: nats per token, or per preference pair.
        loss: f64,
        /// Metrics by name; [`RunInfo::metrics`] describes them.
        metrics: BTreeMap<String, f64>,
    },
    /// The model in training generated a sample.
    LiveSample {
        /// Step of the model.
        step: u64,
        /// Prompt and continuation.
        text: String,
    },
    /// A piece of text was generated.
    Text {
        /// Id of the generation.
        id: u32,
        /// New complete characters.
        text: String,
        /// Tokens generated so far.
        tokens: u64,
        /// Mean tokens per second so far.
        tokens_per_second: f64,
        /// Tokens of the prompt; only in the first event.
        prompt: Vec<Token>,
        /// Tokens sampled since the last event.
        drawn: Vec<Drawn>,
        /// Number of oldest messages that were dropped for lack of context; only in the first event.
        dropped: usize,
        /// Prompt tokens that were already in the KV cache; only in the first event.
        reused: usize,
        /// Acceptance statistics of speculative decoding so far, if enabled.
        draft_stats: Option<DraftStats>,
        /// True for the last event.
        done: bool,
    },
    /// A checkpoint was written to the browser's storage.
    Saved {
        /// Name of the run.
        run: String,
        /// Step of the checkpoint.
        step: u64,
    },
    /// The runs in the browser's storage were listed.
    Runs {
        /// Runs, newest first.
        runs: Vec<RunSummary>,
    },
    /// A checkpoint was packed into a zip file.
    Archive {
        /// Suggested file name.
        name: String,
        /// Contents of the zip file.
        #[serde(with = "serde_bytes")]
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        bytes: Vec<u8>,
    },
    /// Training steps were profiled.
    Profiled {
        /// Results.
        report: ProfileReport,
    },
    /// The device was compared with PyTorch.
    Checked {
        /// Results.
        report: CheckReport,
    },
    /// A command failed. Saved data is not affected.
    Failed {
        /// What failed, where, and what to do, in one line.
        message: String,
    },
}
