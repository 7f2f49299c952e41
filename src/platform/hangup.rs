//! SIGHUP on Unix.

use std::mem::zeroed;
use std::ptr::null;

/// Calls `install`, which installs signal handlers. If SIGHUP was ignored before, as in a program that `nohup` started, it is
/// ignored again afterwards.
pub fn keep_ignoring_hangup<T>(install: impl FnOnce() -> T) -> T {
    // SAFETY: without a new action, `sigaction` only fills in the current one, a plain C struct.
    let ignored = unsafe {
        let mut current: libc::sigaction = zeroed();
        libc::sigaction(libc::SIGHUP, null(), &raw mut current) == 0
            && current.sa_sigaction == libc::SIG_IGN
    };
    let installed = install();
    if ignored {
        // SAFETY: to ignore a signal runs no code of this program.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    }
    installed
}
