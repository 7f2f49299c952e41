//! Time in which transfers overlap with computation.

use std::time::{Duration, Instant};

/// Counts transfers in flight and pending waits, and measures the time with transfers but without waits.
#[derive(Debug, Default)]
pub struct Overlap {
    transfers: usize,
    waits: usize,
    /// Start of the current period.
    since: Option<Instant>,
    before: Duration,
}

impl Overlap {
    /// Counts a transfer that starts now.
    pub fn begin_transfer(&mut self) {
        self.transfers += 1;
        self.measure();
    }

    /// Ends a transfer counted by [`Self::begin_transfer`].
    pub fn end_transfer(&mut self) {
        self.transfers -= 1;
        self.measure();
    }

    /// Counts a wait that starts now.
    pub fn begin_wait(&mut self) {
        self.waits += 1;
        self.measure();
    }

    /// Ends a wait counted by [`Self::begin_wait`].
    pub fn end_wait(&mut self) {
        self.waits -= 1;
        self.measure();
    }

    /// Returns the time so far.
    pub fn hidden(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn measure(&mut self) {
        let is_hidden = self.transfers > 0 && self.waits == 0;
        match self.since {
            None if is_hidden => self.since = Some(Instant::now()),
            Some(since) if !is_hidden => {
                self.since = None;
                self.before += since.elapsed();
            }
            _ => {}
        }
    }
}
