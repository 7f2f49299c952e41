//! Unix signals that would end the program without a message, and the free space of a file system.

use std::ffi::CString;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// True once SIGUSR1 has arrived.
static USER_SIGNAL: AtomicBool = AtomicBool::new(false);

/// Installs a handler that records SIGUSR1, which would otherwise end the program. Batch systems send it before the time limit of
/// a job.
pub fn watch_user_signal() {
    extern "C" fn note(_signal: libc::c_int) {
        USER_SIGNAL.store(true, Ordering::Relaxed);
    }
    let handler = note as extern "C" fn(libc::c_int);
    // SAFETY: the handler only writes an atomic.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
}

/// Returns true if SIGUSR1 has arrived.
pub fn user_signal_arrived() -> bool {
    USER_SIGNAL.load(Ordering::Relaxed)
}

/// Returns the bytes that this program can still write below `path`, which exists; none if the file system does not report it.
#[allow(clippy::unnecessary_cast, reason = "the width of the fields differs between systems")]
pub fn free_space(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: `path` ends in zero, and `statvfs` fills in a plain C struct.
    let (status, found) = unsafe {
        let mut found: libc::statvfs = zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut found), found)
    };
    // Some network file systems report zeros for everything.
    let is_known = status == 0 && found.f_blocks > 0;
    is_known.then(|| (found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// Makes writes beyond the limit on the size of files (`ulimit -f`) fail with an error, and ends the program with a message if
/// a file that is mapped into memory becomes shorter.
pub fn report_lost_files() {
    extern "C" fn shortened(_signal: libc::c_int) {
        const MESSAGE: &[u8] =
            b"blankslate: a file became shorter while it was read; restore it, and \
            continue a run with --resume: nothing that was saved is lost\n";
        // SAFETY: both functions are async-signal-safe, and the message is valid for its length.
        unsafe {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1)
        }
    }
    let handler = shortened as extern "C" fn(libc::c_int);
    // SAFETY: the handler only calls async-signal-safe functions.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::signal(libc::SIGBUS, handler as libc::sighandler_t);
    }
}
