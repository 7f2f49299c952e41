//! The operations a decoder spends its time in, each with its own backward.
//!
//! One folder an operation:
//!
//! - `mod.rs`: the function the model calls, its plain reference in burn's own operations, and the rule
//!   that ties forward and backward together for automatic differentiation;
//! - `gpu.rs`: CubeCL kernels, one source for WGSL and CUDA;
//! - `cpu.rs`: loops over slices, vectorized by the compiler and spread over threads.
//!
//! burn dispatches each operation by the device its tensors live on: `cube.rs` and `flex.rs` hand its tensors
//! to the kernels of the two kinds.

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod kv_cache;
pub mod linear;
pub mod muon;
pub mod norm;
pub mod precision;
pub mod rotary;

mod autodiff;
mod cpu;
mod cube;
mod flex;
mod gpu;
mod lists;
mod optional;
mod span;

pub use gpu::prefer_serial;
pub use span::{watch, watched};
