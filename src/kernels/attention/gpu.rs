//! Attention as CubeCL kernels.
//!
//! Letters, here and in the kernels:
//!
//! - `B` sequences of `T` tokens, `H` query heads, `K` key and value heads, `H / K` query heads share one;
//! - `D` numbers per head, moved as `W` vectors of `N`;
//! - a unit (invocation) owns `R` rows of a head, a cube (workgroup) of `U` units owns a block of `U R` rows.
//!
//! A cube serves one head of one sequence: its block of rows walks over all rows it has to do with. On a GPU
//! the units fetch those rows together, into shared memory; on a processor posing as one, each unit fetches
//! them alone, once for its `R` rows.

mod backward;
mod forward;
pub(in crate::kernels) mod rows;
pub(in crate::kernels) mod scores;

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use self::rows::Layout;
use self::scores::{ParamsLaunch, RandomLaunch};
use super::{Options, Saved};

use crate::kernels::gpu::{empty, empty_of, is_serial};

/// The output `[B T, H D]` for `qkv [B T, (H + 2 K) D]`, and the logarithms of the softmax's normalizers
/// `[B H T]`. `documents [B T]`, i32: see [`attention`](fn@super::attention).
pub fn forward(
    qkv: CubeTensor,
    documents: Option<CubeTensor>,
    options: &Options,
) -> (CubeTensor, CubeTensor) {
    let qkv = into_contiguous(qkv);
    let out = empty([options.batch * options.tokens, options.heads * options.head_dim], &qkv);
    let log_normalizer = per_query(options, &qkv);
    let plan = Plan::new(options, Pass::Forward);
    // SAFETY: the kernel reads clamped rows, writes rows that exist, and its loops end.
    unsafe {
        forward::forward::launch_unchecked(
            &qkv.client,
            plan.count(options, options.heads),
            plan.dim(),
            plan.vector,
            qkv.clone().into_buffer_arg(),
            documents.map(into_contiguous).map(CubeTensor::into_buffer_arg).into(),
            out.clone().into_buffer_arg(),
            log_normalizer.clone().into_buffer_arg(),
            params(options),
            plan.layout,
            element(&qkv),
        );
    }
    (out, log_normalizer)
}

/// The gradient of `qkv [B T, (H + 2 K) D]`, given what [`forward`] made of it and `grad [B T, H D]`, the
/// gradient of its output.
pub fn backward(saved: Saved<CubeBackend>, grad: CubeTensor) -> CubeTensor {
    let Saved { qkv, out, log_normalizer, documents, options } = saved;
    let options = &options;
    let documents = documents.map(into_contiguous);
    let documents = || documents.clone().map(CubeTensor::into_buffer_arg).into();
    let [qkv, out, grad] = [qkv, out, grad].map(into_contiguous);
    let dqkv = empty(qkv.meta.shape().clone(), &qkv);
    let delta = per_query(options, &qkv);
    let plan = Plan::new(options, Pass::Queries);
    // SAFETY: as in the forward pass, and so below.
    unsafe {
        backward::queries::launch_unchecked(
            &qkv.client,
            plan.count(options, options.heads),
            plan.dim(),
            plan.vector,
            qkv.clone().into_buffer_arg(),
            documents(),
            out.into_buffer_arg(),
            log_normalizer.clone().into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            delta.clone().into_buffer_arg(),
            dqkv.clone().into_buffer_arg(),
            params(options),
            plan.layout,
            element(&qkv),
        );
    }
    let plan = Plan::new(options, Pass::Keys);
    unsafe {
        backward::keys::launch_unchecked(
            &qkv.client,
            plan.count(options, options.kv_heads),
            plan.dim(),
            plan.vector,
            qkv.clone().into_buffer_arg(),
            documents(),
            log_normalizer.into_buffer_arg(),
            grad.into_buffer_arg(),
            delta.into_buffer_arg(),
            dqkv.clone().into_buffer_arg(),
            params(options),
            plan.layout,
            element(&qkv),
        );
    }
    dqkv
}

enum Pass {
    Forward,
    Queries,
    Keys,
}

/// How a pass is spread over units.
struct Plan {
    layout: Layout,
    /// `N`.
    vector: usize,
}

impl Plan {
    fn new(options: &Options, pass: Pass) -> Self {
        let Options { heads, kv_heads, head_dim, .. } = *options;
        let vector = [4, 2].into_iter().find(|n| head_dim.is_multiple_of(*n)).unwrap_or(1);
        let width = head_dim / vector;
        let layout = if is_serial() {
            // One unit for each of the 4 lanes its instructions have; as many rows as make fetching cheap.
            let (rows, step) = match pass {
                Pass::Forward => (4, forward::KEYS),
                Pass::Queries => (4, 1),
                Pass::Keys => (2, 1),
            };
            Layout { heads, kv_heads, width, rows, units: 4, stage: step, staged: false }
        } else {
            // Two tiles of this many rows fill WebGPU's 16 KiB of shared memory.
            let stage = (16384 / (2 * 4 * head_dim)).clamp(forward::KEYS, 64);
            let stage = stage / forward::KEYS * forward::KEYS;
            Layout { heads, kv_heads, width, rows: 1, units: 64, stage, staged: true }
        };
        Self { layout, vector }
    }

    /// Cubes for every block of rows of each of `heads` heads of every sequence.
    fn count(&self, options: &Options, heads: usize) -> CubeCount {
        let blocks = options.tokens.div_ceil(self.layout.block());
        CubeCount::Static(blocks as u32, (options.batch * heads) as u32, 1)
    }

    fn dim(&self) -> CubeDim {
        CubeDim::new_1d(self.layout.units as u32)
    }
}

/// Room for one `f32` per query of every head, `[B H T]`.
fn per_query(options: &Options, like: &CubeTensor) -> CubeTensor {
    empty_of(DType::F32, [options.batch * options.heads * options.tokens], like)
}

/// What is done to scores, as kernels take it.
pub(in crate::kernels) fn params(options: &Options) -> ParamsLaunch {
    let random = options.dropout.map(|dropout| {
        let key = dropout.seed.wrapping_mul(0x9E37_79B9);
        RandomLaunch::new(dropout.threshold(), key, dropout.scale())
    });
    ParamsLaunch::new(
        options.tokens,
        options.scale,
        options.soft_cap.into(),
        options.window.into(),
        random.into(),
    )
}

fn element(tensor: &CubeTensor) -> ElemType {
    burn::backend::cubecl::dtype_to_elem_type(tensor.dtype)
}
