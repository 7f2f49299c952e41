//! Tokenizers: training, files, equality with other implementations, and conversations.

#[path = "../common/mod.rs"]
mod common;

mod added;
mod chat;
mod files;
mod peers;
mod training;
