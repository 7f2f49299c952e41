//! The model: equality with PyTorch, what its architecture guarantees, decoding, 16-bit precision, and inspection.

#[path = "../common/mod.rs"]
mod common;

mod decode;
mod golden;
mod inspect;
mod precision;
mod properties;
mod speculative;

/// Decoding must not allocate more memory the longer a text is.
#[global_allocator]
static ALLOCATOR: common::memory::Counting = common::memory::Counting;
