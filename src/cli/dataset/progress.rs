//! Progress of a preparation on a terminal, and the schedule of its commits.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::output::short;

/// Minimum time between two commits.
const LEAST: Duration = Duration::from_millis(500);
/// Time between two commits as a multiple of the time that one takes.
const SHARE: u32 = 10;

/// Schedules commits so that they take at most a tenth of the time.
pub struct Pace {
    last: Instant,
    took: Duration,
}

impl Pace {
    /// Starts now.
    pub fn new() -> Self {
        Self { last: Instant::now(), took: Duration::ZERO }
    }

    /// Calls `commit` if a commit is due.
    ///
    /// # Errors
    /// Those of `commit`.
    pub fn commit_if_due<E>(&mut self, commit: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if self.last.elapsed() < LEAST.max(SHARE * self.took) {
            return Ok(());
        }
        let started = Instant::now();
        commit()?;
        self.last = Instant::now();
        self.took = self.last - started;
        Ok(())
    }
}

/// The progress bar.
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
    tokens: u64,
}

impl Bar {
    /// Shows the progress towards `bytes`, of which `done` were read before; without an end if `bytes` is not known.
    pub fn reading(bytes: Option<u64>, is_hidden: bool) -> Self {
        let template = match bytes {
            Some(_) => "reading {bytes}/{total_bytes} {wide_bar} {msg} eta {eta}",
            None => "reading {bytes} {msg} {elapsed}",
        };
        Self::new(bytes, template, is_hidden)
    }

    /// Shows the progress of shuffling `documents`.
    pub fn shuffling(documents: u64, is_hidden: bool) -> Self {
        Self::new(Some(documents), "shuffling {pos}/{len} {wide_bar} eta {eta}", is_hidden)
    }

    fn new(length: Option<u64>, template: &str, is_hidden: bool) -> Self {
        let bar = match (is_hidden, length) {
            (true, _) => ProgressBar::hidden(),
            (false, Some(length)) => ProgressBar::new(length),
            (false, None) => ProgressBar::new_spinner(),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        Self { bar, started: Instant::now(), tokens: 0 }
    }

    /// Shows the position, after some more tokens.
    pub fn advance(&mut self, position: u64, tokens: u64) {
        self.tokens += tokens;
        self.bar.set_position(position);
        if self.tokens > 0 {
            let speed = self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            self.bar.set_message(format!("{} tokens/s", short(speed)));
        }
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
