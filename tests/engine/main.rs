//! The page's engine, natively: commands and queries, and the events and answers that follow.

#[path = "../common/mod.rs"]
mod common;

mod adjust;
mod chat;
mod diverged;
mod generate;
mod lora;
mod others;
#[cfg(feature = "cli")]
mod parity;
mod preferences;
mod runs;
mod speed;
mod storage;
mod support;
mod tabs;
mod tokenizers;
