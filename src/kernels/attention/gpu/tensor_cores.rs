//! Attention on tensor cores, for 16-bit numbers (FlashAttention-2, Dao 2023).
//!
//! Strategy: as in the parent module, but a block has 64 rows, 16 for each of the four planes (warps) of a cube. A plane
//! keeps its rows as fragments of left factors in registers; the other side comes in tiles of 64 rows, 16-bit numbers in
//! shared memory. Factors have 16 bits and sums are f32. A weight, or the gradient of a score, is rounded to 16 bits when
//! it becomes a factor itself.
//!
//! Floors of any kernel, with two bytes per number and a causal mask, which halves the FLOPs. A GPU computes `P` FLOPs and moves
//! `M` bytes per second (H100 SXM: 989e12 and 3.35e12; H200: 989e12 and 4.8e12, NVIDIA's data sheets). These kernels do not
//! reach `P`, which needs Hopper's asynchronous instructions; they are for all GPUs since Ampere. GPT-2 124M with 16 sequences of
//! 1024 tokens on an H100:
//!
//! | kernel | FLOPs / `(B H T^2 D)` | bytes | GPT-2: FLOPs / P | bytes / M |
//! | --- | --- | --- | --- | --- |
//! | `flash_forward` | 2 | `B T (4 (H + K) D + 4 H)` | 26 us | 30 us |
//! | `flash_queries` | 3 | `B T (8 H D + 4 K D + 8 H)` | 39 us | 46 us |
//! | `flash_keys` | 4 | `B T (4 H D + 8 K D + 8 H)` | 52 us | 46 us |

mod backward;
mod forward;
mod tiles;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::features::{MatmulFeatures, MmaConfig};
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

use self::tiles::{BLOCK, Layout, PAIR, UNITS};
use super::launch::{Kernels, REPLACEMENTS, params, per_query};
use crate::kernels::attention::{Options, Saved};
use crate::kernels::gpu::{dims, elem, empty, input, output};

/// Registers the kernels for tensor cores for `device`. They compute attention in f16 and bf16 with a multiple of 16 numbers in
/// a head, up to 128, on NVIDIA GPUs of compute capability 8.0 or newer; the portable kernels compute everything else.
pub fn use_tensor_cores(device: &Device) {
    REPLACEMENTS.set(device, Kernels { supports, forward, backward });
}

/// Returns true if tensor cores compute attention in `dtype` on `device`, which is not an autodiff device, if heads have a length
/// that [`use_tensor_cores`] names.
pub fn uses_tensor_cores(device: &Device, dtype: FloatDType) -> bool {
    let elem = match dtype {
        FloatDType::F16 => FloatKind::F16,
        FloatDType::BF16 => FloatKind::BF16,
        _ => return false,
    };
    let DispatchDevice::Cube(device) = device.as_dispatch() else { return false };
    let properties = device.client().properties().clone();
    REPLACEMENTS.get(device).is_some() && multiplies(&properties.features.matmul, elem.into())
}

/// Numbers that a unit fetches at a time, 16 bytes.
const FETCHED: usize = 8;

/// Returns true if the device multiplies matrices of this type, and heads have a length that these kernels can cut.
fn supports(qkv: &CubeTensor, options: &Options) -> bool {
    multiplies(&qkv.client.properties().features.matmul, elem(qkv))
        && options.head_dim.is_multiple_of(16)
        && options.head_dim <= 128
}

/// Returns true if a device with these features has the matrix products that the kernels are made of, for factors of type `elem`.
fn multiplies(features: &MatmulFeatures, elem: ElemType) -> bool {
    let sums = ElemType::Float(FloatKind::F32);
    let shape = MmaConfig { a_type: elem, b_type: elem, cd_type: sums, m: 16, n: 8, k: 16 };
    features.ldmatrix.contains(&elem) && features.mma.contains(&shape)
}

fn layout(options: &Options) -> Layout {
    let Options { heads, kv_heads, head_dim, .. } = *options;
    Layout { heads, kv_heads, width: head_dim / FETCHED }
}

/// Cubes for every block of rows of each of `heads` heads of every sequence.
fn count(options: &Options, heads: usize) -> CubeCount {
    let blocks = options.tokens.div_ceil(BLOCK);
    CubeCount::Static(blocks as u32, (options.batch * heads) as u32, 1)
}

fn dim() -> CubeDim {
    CubeDim::new_1d(UNITS as u32)
}

fn forward(
    qkv: CubeTensor,
    documents: Option<CubeTensor>,
    options: &Options,
) -> (CubeTensor, CubeTensor) {
    let out = empty([options.batch * options.tokens, options.heads * options.head_dim], &qkv);
    let log_normalizer = per_query(options, &qkv);
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    // SAFETY: the kernel reads clamped rows and writes rows that exist, and its loops end.
    unsafe {
        forward::flash_forward::launch_unchecked(
            &client,
            count(options, options.heads),
            dim(),
            FETCHED,
            PAIR,
            input(qkv),
            documents.map(input).into(),
            output(&out),
            output(&log_normalizer),
            params(options),
            layout(options),
            dtype,
        );
    }
    (out, log_normalizer)
}

fn backward(saved: Saved<CubeBackend>, grad: CubeTensor) -> CubeTensor {
    let Saved { qkv, out, log_normalizer, documents, options } = saved;
    let options = &options;
    // Both kernels read these.
    let [qkv, grad] = [qkv, grad].map(into_contiguous);
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    let dqkv = empty(dims(&qkv), &qkv);
    let delta = per_query(options, &qkv);
    // SAFETY: as in the forward pass.
    unsafe {
        backward::flash_queries::launch_unchecked(
            &client,
            count(options, options.heads),
            dim(),
            FETCHED,
            PAIR,
            input(qkv.clone()),
            documents.clone().map(input).into(),
            input(out),
            input(log_normalizer.clone()),
            input(grad.clone()),
            output(&delta),
            output(&dqkv),
            params(options),
            layout(options),
            dtype,
        );
    }
    // SAFETY: as above.
    unsafe {
        backward::flash_keys::launch_unchecked(
            &client,
            count(options, options.kv_heads),
            dim(),
            FETCHED,
            PAIR,
            input(qkv),
            documents.map(input).into(),
            input(log_normalizer),
            input(grad),
            input(delta),
            output(&dqkv),
            params(options),
            options.heads / options.kv_heads,
            layout(options),
            dtype,
        );
    }
    dqkv
}
