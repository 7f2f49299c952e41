//! Signals of Unix that would end the program without a word.

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
