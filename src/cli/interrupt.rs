//! Ctrl-C: the first one stops training after the current step, the second one ends the program immediately.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static PRESSED: AtomicBool = AtomicBool::new(false);

/// Exit status of a program ended by SIGINT.
const EXIT: i32 = 130;

/// Installs a handler, so that the first Ctrl-C only sets [`pressed`].
pub fn watch() -> Result<()> {
    ctrlc::set_handler(|| {
        if PRESSED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT);
        }
        eprintln!("blankslate: stopping after this step; press Ctrl-C again to stop immediately");
    })
    .map_err(|e| Error::io("Ctrl-C", io::Error::other(e)))
}

/// Returns true if Ctrl-C was pressed.
pub fn pressed() -> bool {
    PRESSED.load(Ordering::SeqCst)
}
