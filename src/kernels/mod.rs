//! The operations that take most of a decoder's time, each with its own backward pass.
//!
//! One folder per operation:
//!
//! - `mod.rs`: the function that the model calls, and the rule that connects forward and backward pass for automatic
//!   differentiation;
//! - `reference.rs`: the same in burn's own operations, with which the tests compare;
//! - `cpu.rs`: loops over slices, vectorized by the compiler and distributed over threads;
//! - `gpu.rs`: CubeCL kernels, one source for WGSL and CUDA.
//!
//! burn dispatches each operation by the device of its tensors; `cpu.rs` and `gpu.rs` implement it for the two kinds of
//! devices.
//!
//! ```
//! use blankslate::kernels::norm;
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let x = Tensor::<2>::from_data([[1.0, 2.0, 4.0]], &device);
//! let weight = Tensor::<1>::ones([3], &device);
//! let result = norm::norm(x.clone(), weight.clone(), None, 1e-5, true);
//! let expected = norm::reference::norm(x, weight, None, 1e-5, true);
//! assert!((result - expected).abs().max().into_scalar::<f32>() < 1e-6);
//! ```

pub mod across;
pub mod activation;
pub mod adamw;
pub mod attention;
pub mod cost;
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
mod check;
mod cpu;
mod device;
mod dispatch;
mod gpu;
mod span;

pub use device::{GpuMemory, Products, Projection, gpu_memory, prefer_serial, set_products};
pub use span::{watch, watched};
