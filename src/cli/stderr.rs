//! Messages on standard error.

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::error::printable;

/// Maximum characters of a line that is written for people.
pub const LINE: usize = 4000;

/// Writes a line, with control characters escaped. Ignores a closed or full standard error: there is nowhere left to report
/// that.
pub fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text, LINE));
}

/// Number and host of this process, among several that train together.
static RANK: OnceLock<(usize, String)> = OnceLock::new();

/// Names the rank of this process in all messages from now on.
pub fn name_rank(rank: usize, host: &str) {
    let _ = RANK.set((rank, host.to_string()));
}

/// Writes a message of the program on one line.
pub fn message(text: &str) {
    match RANK.get() {
        Some((rank, host)) => line(&format!("blankslate: rank {rank} on {host}: {text}")),
        None => line(&format!("blankslate: {text}")),
    }
}

/// Writes a remark that is the same on all ranks, on rank 0 only.
pub fn note(text: &str) {
    if RANK.get().is_none_or(|(rank, _)| *rank == 0) {
        message(&format!("note: {text}"));
    }
}
