//! Messages on standard error.

use std::io::{self, Write};

use crate::error::printable;

/// Maximum characters of a line that is written for people.
pub const LINE: usize = 4000;

/// Writes a line, with control characters escaped. Ignores a closed or full standard error: there is nowhere left to report
/// that.
pub fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text, LINE));
}

/// Writes a message of the program on one line.
pub fn message(text: &str) {
    line(&format!("blankslate: {text}"));
}
