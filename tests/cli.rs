//! The program from outside: what it prints, writes, refuses, and with which exit status.

#[path = "cli/chat.rs"]
mod chat;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/lora.rs"]
mod lora;
#[path = "cli/preferences.rs"]
mod preferences;
#[path = "cli/refused.rs"]
mod refused;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/train.rs"]
mod train;
