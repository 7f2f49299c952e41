//! Waiting for the result of an operation.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::operations::{Shared, failed, milliseconds};
use super::overlap::Overlap;
use crate::error::Result;

/// Time, beyond the timeout, after which an operation that does not return is abandoned.
const GRACE: Duration = Duration::from_secs(5);
/// Interval at which a failure of another operation is checked for, which ends this one as well.
const LOOK: Duration = Duration::from_millis(100);

/// Result of an operation that may still be running.
pub struct Reply<T> {
    pub label: String,
    pub timeout: Duration,
    pub result: Receiver<Result<T>>,
    pub shared: Arc<Shared>,
}

impl<T> Reply<T> {
    /// Waits for the operation to end.
    pub fn wait(self) -> Result<T> {
        let started = Instant::now();
        self.shared.overlap(Overlap::begin_wait);
        let outcome = self.outcome();
        self.shared.overlap(Overlap::end_wait);
        self.shared.update(|traffic| traffic.waited_ms += milliseconds(started));
        outcome
    }

    /// Waits, on a thread other than the one that trains.
    pub fn outcome(&self) -> Result<T> {
        let limit = self.timeout + GRACE;
        let arrived = || self.shared.progress.load(Ordering::Relaxed);
        let (mut before, mut moved) = (arrived(), Instant::now());
        loop {
            match self.result.recv_timeout(LOOK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed(&self.label, "the thread of collectives ended".into()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(failure) = self.shared.failure() {
                        return Err(failure);
                    }
                    // A rank is silent only if nothing arrives from it.
                    if arrived() > before {
                        (before, moved) = (arrived(), Instant::now());
                    }
                    if moved.elapsed() > limit {
                        let problem = format!("no progress for {} s", limit.as_secs());
                        return Err(failed(&self.label, problem));
                    }
                }
            }
        }
    }
}
