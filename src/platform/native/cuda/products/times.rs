//! Device time of work that cubecl does not launch, and so does not report to a profiler.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cubecl::client::Client;
use cubecl::logging::ProfileDuration;

/// Name and time, not read yet, of each call.
pub type Times = Vec<(&'static str, ProfileDuration)>;

/// The calls while a profiler runs.
static RECORDED: Mutex<Option<Times>> = Mutex::new(None);

fn recorded() -> MutexGuard<'static, Option<Times>> {
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts recording.
pub fn start() {
    *recorded() = Some(Vec::new());
}

/// Stops recording and returns the calls since [`start`].
pub fn take() -> Times {
    recorded().take().unwrap_or_default()
}

/// Calls `work`, which enqueues work that later launches wait for, and records its time while a profiler runs.
pub fn record<T>(name: &'static str, client: &Client, work: impl FnOnce() -> T) -> T {
    let window = recorded().is_some().then(|| client.profile_start().ok()).flatten();
    let result = work();
    let time = window.and_then(|window| client.profile_end(window).ok());
    if let (Some(time), Some(calls)) = (time, recorded().as_mut()) {
        calls.push((name, time));
    }
    result
}
