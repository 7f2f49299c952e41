//! Requirements of tests that this machine may lack. A test never passes silently without one: it is recorded, and with
//! `CI=true` it fails the test.

#![allow(dead_code, reason = "every test program uses its own part")]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// Requirement of a test beyond a CPU and a disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// A Vulkan adapter. A software adapter is enough.
    Vulkan,
    /// An adapter that computes in f16.
    F16,
    /// An adapter that computes in bf16.
    Bf16,
    /// A CUDA GPU with tensor cores for TF32.
    Tf32,
    /// A CUDA GPU with tensor cores for which attention has kernels.
    TensorCores,
    /// The right to mount a small file system.
    Mount,
    /// The right to create network namespaces.
    Namespaces,
    /// Python with the package tensorboard.
    TensorBoard,
}

/// Needs that a machine may lack with `CI=true`: no software adapter computes in bf16 or TF32. CUDA does.
pub const OPTIONAL: [Need; 2] = [Need::Bf16, Need::Tf32];

impl Need {
    /// Returns what to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Vulkan => {
                "install a Vulkan driver (Mesa's lavapipe runs on the CPU), or set BLANKSLATE_TEST_GPU to another \
                 device, or to `none`"
            }
            Self::F16 => "install a driver that computes in f16 (lavapipe of Mesa 22 does)",
            Self::Bf16 => "use a GPU that computes in bf16",
            Self::Tf32 | Self::TensorCores => {
                "use an NVIDIA GPU of compute capability 8.0 or newer"
            }
            Self::Namespaces => "run as root, with iproute2 installed",
            Self::TensorBoard => {
                "install tensorboard with pip for python3 ($PYTHON), or run `cargo xtask test`, which does"
            }
            Self::Mount => "run as root, or allow sudo without a password",
        }
    }
}

/// Records that a test, or a part of it, cannot run here.
///
/// # Panics
/// With `CI=true`, unless `need` is in [`OPTIONAL`] and the GPU is not one of CUDA.
pub fn missing(need: Need, reason: &dyn Display) {
    let is = |name: &str, start: &str| std::env::var(name).is_ok_and(|it| it.starts_with(start));
    let on_cuda = is("BLANKSLATE_TEST_GPU", "cuda");
    match accept(need, reason, is("CI", "true"), on_cuda) {
        Ok(line) => record(&line),
        Err(message) => panic!("{message}"),
    }
}

/// Returns the line to record, or the message of a failure.
pub fn accept(
    need: Need,
    reason: &dyn Display,
    in_ci: bool,
    on_cuda: bool,
) -> Result<String, String> {
    let line = format!("{need:?}: {reason}");
    if in_ci && (on_cuda || !OPTIONAL.contains(&need)) {
        return Err(format!("with CI=true this test must run. {line}; {}", need.remedy()));
    }
    Ok(line)
}

/// Prints a line and appends it to the file named by `BLANKSLATE_NOT_COVERED`, which `cargo xtask test` prints at the
/// end: cargo hides what a passing test prints.
pub fn record(line: &str) {
    eprintln!("NOT COVERED HERE: {line}");
    if let Some(path) = std::env::var_os("BLANKSLATE_NOT_COVERED") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("writable");
        // In one call, since test programs may run at the same time.
        file.write_all(format!("{line}\n").as_bytes()).expect("writable");
    }
}
