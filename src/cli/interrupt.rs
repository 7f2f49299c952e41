//! Ctrl-C, SIGTERM and SIGHUP: the first one stops training after the current step, a later one ends the program immediately.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::stderr::message;
use crate::error::{Error, Result};
use crate::platform::keep_ignoring_hangup;

/// Time of the first signal.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// Exit status of a program ended by SIGINT.
const EXIT: i32 = 130;
/// Signals that follow within this time belong to the same event: both the system and the shell send SIGHUP when a terminal
/// is closed.
const SAME: Duration = Duration::from_secs(1);

/// Installs a handler, so that the first signal only sets [`pressed`].
pub fn watch() -> Result<()> {
    let handle = || {
        let mut is_first = false;
        let first = FIRST.get_or_init(|| {
            is_first = true;
            Instant::now()
        });
        if is_first {
            message("stopping after this step; press Ctrl-C again to stop immediately");
        } else if first.elapsed() > SAME {
            std::process::exit(EXIT);
        }
    };
    keep_ignoring_hangup(|| ctrlc::set_handler(handle))
        .map_err(|e| Error::io("Ctrl-C", io::Error::other(e)))
}

/// Returns true if a signal asked the program to stop.
pub fn pressed() -> bool {
    FIRST.get().is_some()
}
