//! Attention on GPUs.
//!
//! Shapes, in addition to those of the parent module: heads are moved as `W` vectors of `N` numbers; a unit (invocation)
//! owns `R` rows of a head, a cube (workgroup) of `U` units a block of `U R` rows.
//!
//! Strategy: a cube serves one head of one sequence. Its units keep their rows (queries, with running maximum, normalizer
//! and weighted sum of values) in registers and walk over all rows of the other side, so that scores are never stored.
//! Causality, window and documents bound that walk to the rows that any row of the block sees, and hide the rest.
//!
//! - On a GPU, `U = 64`, `R = 1`: the units fetch the other side in tiles of up to 64 rows into shared memory, two tiles
//!   (keys and values) of f32 that fill the 16 KiB that WebGPU guarantees.
//! - On a software adapter, `U = 4` (the lanes of its vector instructions) and `R = 4` or 2: no shared memory; a row
//!   fetched by a unit serves its `R` rows.
//! - On an NVIDIA GPU, in 16 bits: `tensor_cores/`.
//!
//! Three kernels: `forward` and `queries` walk a block of queries over keys, `keys` walks a block of keys over queries.
//! The backward kernels compute the weights again from the stored log-normalizers, and each number of the gradient is
//! written by one unit, so that results are reproducible.

mod backward;
mod forward;
mod launch;
pub(in crate::kernels) mod rows;
pub(in crate::kernels) mod scores;
mod tensor_cores;

pub(in crate::kernels) use launch::params;
pub use tensor_cores::{use_tensor_cores, uses_tensor_cores};

use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use self::launch::{per_query, replacement};
use self::rows::Layout;

use super::{AttentionKernels, AttentionOps, Options, Saved};
use crate::kernels::dispatch::OptionalInts;
use crate::kernels::gpu::{dims, elem, empty, input, is_serial, output};

fn forward(
    qkv: CubeTensor,
    documents: Option<CubeTensor>,
    options: &Options,
) -> (CubeTensor, CubeTensor) {
    if let Some(kernels) = replacement(&qkv, options) {
        return (kernels.forward)(qkv, documents, options);
    }
    let out = empty([options.batch * options.tokens, options.heads * options.head_dim], &qkv);
    let log_normalizer = per_query(options, &qkv);
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    let plan = Plan::new(options, Pass::Forward, is_serial(&qkv));
    // SAFETY: the kernel reads clamped rows and writes rows that exist, and its loops end.
    unsafe {
        forward::forward::launch_unchecked(
            &client,
            plan.count(options, options.heads),
            plan.dim(),
            plan.vector,
            input(qkv),
            documents.map(input).into(),
            output(&out),
            output(&log_normalizer),
            params(options),
            plan.layout,
            dtype,
        );
    }
    (out, log_normalizer)
}

fn backward(saved: Saved<CubeBackend>, grad: CubeTensor) -> CubeTensor {
    if let Some(kernels) = replacement(&saved.qkv, &saved.options) {
        return (kernels.backward)(saved, grad);
    }
    let Saved { qkv, out, log_normalizer, documents, options } = saved;
    let options = &options;
    // Both kernels read these.
    let [qkv, grad] = [qkv, grad].map(into_contiguous);
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    let serial = is_serial(&qkv);
    let dqkv = empty(dims(&qkv), &qkv);
    let delta = per_query(options, &qkv);
    let plan = Plan::new(options, Pass::Queries, serial);
    // SAFETY: as in the forward pass.
    unsafe {
        backward::queries::launch_unchecked(
            &client,
            plan.count(options, options.heads),
            plan.dim(),
            plan.vector,
            input(qkv.clone()),
            documents.clone().map(input).into(),
            input(out),
            input(log_normalizer.clone()),
            input(grad.clone()),
            output(&delta),
            output(&dqkv),
            params(options),
            plan.layout,
            dtype,
        );
    }
    let plan = Plan::new(options, Pass::Keys, serial);
    // SAFETY: as above.
    unsafe {
        backward::keys::launch_unchecked(
            &client,
            plan.count(options, options.kv_heads),
            plan.dim(),
            plan.vector,
            input(qkv),
            documents.map(input).into(),
            input(log_normalizer),
            input(grad),
            input(delta),
            output(&dqkv),
            params(options),
            plan.layout,
            dtype,
        );
    }
    dqkv
}

enum Pass {
    Forward,
    Queries,
    Keys,
}

/// Distribution of the work of a pass over units.
struct Plan {
    layout: Layout,
    /// `N`.
    vector: usize,
}

impl Plan {
    fn new(options: &Options, pass: Pass, serial: bool) -> Self {
        let Options { heads, kv_heads, head_dim, .. } = *options;
        let vector = [4, 2].into_iter().find(|n| head_dim.is_multiple_of(*n)).unwrap_or(1);
        let width = head_dim / vector;
        let layout = if serial {
            let (rows, step) = match pass {
                Pass::Forward => (4, forward::KEYS),
                Pass::Queries => (4, 1),
                Pass::Keys => (2, 1),
            };
            Layout { heads, kv_heads, width, rows, units: 4, stage: step, staged: false }
        } else {
            // Rows of each of two tiles of f32 in 16 KiB.
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

impl AttentionOps for CubeBackend {
    fn attend(qkv: CubeTensor, documents: OptionalInts<Self>, options: Options) -> CubeTensor {
        forward(qkv, documents.into_option(), &options).0
    }
}

impl AttentionKernels for CubeBackend {
    fn attention_forward(
        qkv: CubeTensor,
        documents: Option<CubeTensor>,
        options: &Options,
    ) -> (CubeTensor, CubeTensor) {
        forward(qkv, documents, options)
    }

    fn attention_backward(saved: Saved<Self>, grad: CubeTensor) -> CubeTensor {
        backward(saved, grad)
    }
}
