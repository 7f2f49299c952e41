//! The `blankslate` program; everything is in [`blankslate::cli`].

// A training step allocates and frees the same large buffers over and over; the C library would give each back
// to the system and fault it in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Mesa looks for a Wayland display whenever Vulkan starts, and complains on standard error where no
    // session set this variable. A directory that is not there is searched in silence.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing the program does, so no other thread reads the environment.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
    blankslate::cli::main()
}
