//! Ctrl-C, SIGTERM, SIGHUP and SIGUSR1: the first one stops training after the current step. A later one ends the program
//! immediately, except for SIGUSR1, which a batch system may follow with SIGTERM while the checkpoint is written.

use std::io;
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use super::stderr::message;
use crate::error::{Error, Result};
use crate::platform::{keep_ignoring_hangup, parallel, user_signal_arrived, watch_user_signal};

/// Time of the first signal.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Exit status of a program ended by SIGINT.
const EXIT: i32 = 130;
/// Signals that follow within this time belong to the same event: both the system and the shell send SIGHUP when a terminal
/// is closed.
const SAME: Duration = Duration::from_secs(1);

/// Installs a handler, so that the first signal only sets [`pressed`]. Training stops after the current step.
pub fn watch() -> Result<()> {
    watch_for(notice(parallel::launched().is_some()))
}

/// As [`watch`], for other work. `notice` describes what the first signal does.
pub fn watch_for(notice: &'static str) -> Result<()> {
    let handle = move || {
        let mut is_first = false;
        let first = FIRST.get_or_init(|| {
            is_first = true;
            Instant::now()
        });
        if is_first {
            message(notice);
        } else if first.elapsed() > SAME {
            std::process::exit(EXIT);
        }
    };
    watch_user_signal();
    keep_ignoring_hangup(|| ctrlc::set_handler(handle))
        .map_err(|e| Error::io("Ctrl-C", io::Error::other(e)))
}

/// Returns what the first signal does and what a later one would. Where a launcher started several ranks, the signal comes from it
/// or was sent to one rank, and all of them stop.
fn notice(is_launched: bool) -> &'static str {
    match is_launched {
        true => "all ranks stop after this step; a second signal ends this one immediately",
        false => "stopping after this step; press Ctrl-C again to stop immediately",
    }
}

/// Returns true if a signal asked the program to stop.
pub fn pressed() -> bool {
    FIRST.get().is_some() || user_signal_pressed()
}

/// Returns true if SIGUSR1 has arrived, and reports it once, since a signal handler must not print.
fn user_signal_pressed() -> bool {
    static REPORTED: Once = Once::new();
    let has_arrived = user_signal_arrived();
    if has_arrived {
        REPORTED.call_once(|| message("SIGUSR1: stopping after this step"));
    }
    has_arrived
}
