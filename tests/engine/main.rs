//! The page's engine, natively: commands and queries, and the events and answers that follow.

mod adjust;
mod chat;
mod generate;
mod lora;
#[cfg(feature = "cli")]
mod parity;
mod preferences;
mod runs;
mod speed;
mod storage;
mod support;
mod tokenizers;
