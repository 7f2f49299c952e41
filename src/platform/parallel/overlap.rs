//! The time in which transfers are hidden behind computation.

use std::time::{Duration, Instant};

/// Counts transfers under way and results that are waited for, and measures the time in which there are some of the first and
/// none of the second.
#[derive(Debug, Default)]
pub struct Overlap {
    transfers: usize,
    waits: usize,
    /// When the current period began.
    since: Option<Instant>,
    before: Duration,
}

impl Overlap {
    /// Counts something sent that is under way from now on.
    pub fn begin_transfer(&mut self) {
        self.transfers += 1;
        self.measure();
    }

    /// Ends what [`Self::begin_transfer`] began.
    pub fn end_transfer(&mut self) {
        self.transfers -= 1;
        self.measure();
    }

    /// Counts a result that is waited for from now on.
    pub fn begin_wait(&mut self) {
        self.waits += 1;
        self.measure();
    }

    /// Ends what [`Self::begin_wait`] began.
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
