//! The program from outside: output, files, refusals and exit status.

#[path = "../common/missing.rs"]
mod missing;

mod chat;
mod commands;
// These tests need file systems in memory and /dev/full, which Linux has.
#[cfg(target_os = "linux")]
mod disk;
mod lora;
mod others;
mod preferences;
mod refused;
mod support;
mod train;
