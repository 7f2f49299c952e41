//! Checkpoints: files that are read, files that are written, and files that are refused.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod gguf;
mod hostile;
mod others;

/// Readers must not allocate memory out of proportion to a file.
#[global_allocator]
static ALLOCATOR: common::memory::Counting = common::memory::Counting;
