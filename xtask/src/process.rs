//! Finding and running other programs, and reporting failures.

use anyhow::{Context, Error, Result, anyhow, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An error with its cause and what to do about it.
pub fn failure(why: impl std::fmt::Display, remedy: &str) -> Error {
    anyhow!("{why}\n  what to do: {remedy}")
}

/// A command without the variables that the outer cargo set for xtask.
///
/// Some build scripts watch these variables and would rebuild whenever cargo is called by xtask after having been
/// called by hand.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The command as one would type it, without its environment.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command whose output goes to the terminal.
///
/// # Errors
/// The command can't be started or exits with a status other than 0.
pub fn run(command: &mut Command, remedy: &str) -> Result<()> {
    println!("    $ {}", shown(command));
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        return Err(failure(format!("`{}` failed ({status})", shown(command)), remedy));
    }
    Ok(())
}

/// Starts a command whose output is not shown.
///
/// # Errors
/// The command can't be started.
pub fn start_silently(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| cannot_start(command))
}

/// Runs a command and returns its standard output; standard error is shown only on failure.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", shown(command), output.status, message.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// True if a command can be started and succeeds. Prints nothing.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// True if a Python interpreter can import `module`.
pub fn python_has(python: &str, module: &str) -> bool {
    succeeds(command(python).args(["-c", &format!("import {module}")]))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", shown(command))
}

/// Finds a program in `PATH`. Absolute paths are returned as they are if they exist.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs `work`, printing what it does before and how long it took afterwards.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let outcome = work().with_context(|| what.to_owned())?;
    println!("    {}: {what}", seconds(start.elapsed()));
    Ok(outcome)
}

/// A duration as `1.2 s` or `3 min 4 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}
