//! The program from outside: what it prints, writes, refuses, and with which exit status.

#[path = "../common/missing.rs"]
mod missing;

mod chat;
mod commands;
// Linux has file systems in memory and /dev/full.
#[cfg(target_os = "linux")]
mod disk;
mod lora;
mod parity;
mod preferences;
mod refused;
mod support;
mod train;
