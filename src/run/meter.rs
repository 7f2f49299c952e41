//! Decides when figures are read, and measures the speed of the steps in between.

use super::control::Pace;
use crate::platform::{Profiler, now_ms};
use crate::train::StepReport;

/// Milliseconds between two measurements of the GPU's utilization. Each covers the steps between two reads of figures, so that
/// nothing waits for it.
const BUSY_EVERY_MS: f64 = 5000.0;

/// Steps whose figures have not been read yet, and the speed of the others.
pub struct Meter {
    pace: Pace,
    pub pending: Vec<StepReport>,
    read_ms: f64,
    tokens_per_second: f64,
    /// True until figures are read for the first time: the first step is reported immediately, to show that training runs.
    is_first: bool,
    measured_ms: f64,
    profiler: Option<Profiler>,
}

impl Meter {
    pub fn new(pace: Pace) -> Self {
        let now = now_ms();
        Self {
            pace,
            pending: Vec::new(),
            read_ms: now,
            tokens_per_second: 0.0,
            is_first: true,
            measured_ms: now,
            profiler: None,
        }
    }

    /// Returns true if figures are due.
    pub fn is_due(&self) -> bool {
        let waited = now_ms() - self.read_ms;
        self.is_first
            || self.pending.len() >= self.pace.queued_steps
            || waited >= self.pace.read_every_ms
    }

    /// Starts a measurement of the GPU if it is due and no step is pending.
    pub fn begin_measuring(&mut self) {
        let due = self.pace.watches_gpu && now_ms() - self.measured_ms >= BUSY_EVERY_MS;
        if due && self.pending.is_empty() && self.profiler.is_none() {
            self.profiler = Some(Profiler::start());
        }
    }

    /// Returns the utilization of the GPU during the steps that were just read, if it was measured.
    pub async fn measured(&mut self, steps: u64) -> Option<f64> {
        let report = self.profiler.take()?.finish(steps).await;
        self.measured_ms = now_ms();
        report.utilization()
    }

    /// Returns the tokens per second of the steps that were just read.
    pub fn rate(&mut self, tokens: usize) -> f64 {
        let seconds = (now_ms() - self.read_ms).max(0.1) / 1e3;
        if tokens > 0 {
            self.tokens_per_second = tokens as f64 / seconds;
            self.is_first = false;
        }
        self.read_ms = now_ms();
        self.tokens_per_second.max(f64::MIN_POSITIVE)
    }

    /// Restarts the clock after time was spent on something other than steps.
    pub fn restart(&mut self) {
        self.read_ms = now_ms();
    }
}
