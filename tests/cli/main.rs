//! The program from outside: output, files, refusals and exit status.

#[path = "../common/missing.rs"]
mod missing;

mod chat;
mod commands;
mod data_prepare;
mod data_support;
mod data_train;
#[cfg(unix)]
mod data_unattended;
// These tests need file systems in memory and /dev/full, as those of `streams`, which Linux has.
#[cfg(target_os = "linux")]
mod disk;
mod long_runs;
mod lora;
mod others;
mod plan;
mod plan_budget;
#[cfg(target_os = "linux")]
mod plan_memory;
mod preferences;
mod refused;
mod resume;
mod scaling;
// Windows has no signals to send to another process.
#[cfg(unix)]
mod signals;
#[cfg(target_os = "linux")]
mod streams;
mod support;
mod tensorboard;
mod train;
