//! Embedding lookup on GPUs.
//!
//! Forward: one pass over the output in vectors of four, each unit on its own. Backward: each row of the table finds
//! its uses by binary search in the sorted order of the ids, so that no two units add to the same number; on a GPU, 32
//! to 256 units share a row's columns. No shared memory.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{EmbeddingKernels, EmbeddingOps, Saved};
use crate::kernels::gpu::{
    dims, elem, empty, input, lane, output, row, share, spread_rows, stride, vector_size,
};

/// Rows `ids [N]`, i32, of `table [V, C]`, or zeros for those that it does not have: `[N, C]`.
fn forward(table: CubeTensor, ids: CubeTensor) -> CubeTensor {
    let (rows, [vocab, width]) = (ids.meta.shape()[0], dims(&table));
    let y = empty([rows, width], &table);
    let client = table.client.clone();
    let dtype = elem(&table);
    let vector = vector_size(width);
    let (count, dim) = share(&table, rows * width / vector);
    // SAFETY: the kernel stays within the rows of `y` and of the table.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(table),
            input(ids),
            output(&y),
            rows,
            vocab,
            width / vector,
            dtype,
        );
    }
    y
}

/// The table's gradient `[V, C]` from `grad [N, C]`: each row the sum of the gradients of its uses.
///
/// `order [N]`, i32, lists the places in `ids [N]` so that their ids ascend, equal ones in their order.
fn backward(ids: CubeTensor, order: CubeTensor, grad: CubeTensor, vocab: usize) -> CubeTensor {
    let [uses, width] = dims(&grad);
    let table = empty([vocab, width], &grad);
    let client = grad.client.clone();
    let dtype = elem(&grad);
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&grad, vocab, width / vector);
    // SAFETY: the kernel stays within the rows of the table, and `order` holds places in `ids` and `grad`.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(ids),
            input(order),
            input(grad),
            output(&table),
            uses,
            vocab,
            width / vector,
            lanes,
            dtype,
        );
    }
    table
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float, N: Size>(
    table: &[Vector<F, N>],
    ids: &[i32],
    y: &mut [Vector<F, N>],
    rows: usize,
    vocab: usize,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, rows * width, stride()) {
        // Without a sign, a negative one is beyond the table.
        let id = ids[i / width] as usize;
        let mut value = Vector::<F, N>::zeroed();
        if id < vocab {
            value = table[id * width + i % width];
        }
        y[i] = value;
    }
}

#[cube(launch_unchecked)]
fn backward_kernel<F: Float, N: Size>(
    ids: &[i32],
    order: &[i32],
    grad: &[Vector<F, N>],
    table: &mut [Vector<F, N>],
    uses: usize,
    vocab: usize,
    width: usize,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= vocab {
        terminate!();
    }
    let start = row * width;
    let begin = first_use(ids, order, uses, row as i32);
    let end = first_use(ids, order, uses, row as i32 + 1);
    for i in range_stepped(lane(lanes), width, lanes) {
        let mut sum = Vector::<f32, N>::zeroed();
        for rank in begin..end {
            sum += Vector::cast_from(grad[order[rank] as usize * width + i]);
        }
        table[start + i] = Vector::cast_from(sum);
    }
}

/// Number of places that hold ids below `id`.
#[cube]
fn first_use(ids: &[i32], order: &[i32], uses: usize, id: i32) -> usize {
    let mut begin = 0usize.runtime();
    let mut end = uses;
    while begin < end {
        let middle = (begin + end) / 2;
        if ids[order[middle] as usize] < id {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    begin
}

impl EmbeddingOps for CubeBackend {
    fn look_up(table: CubeTensor, ids: CubeTensor, _order: CubeTensor) -> CubeTensor {
        forward(table, ids)
    }
}

impl EmbeddingKernels for CubeBackend {
    fn look_up_backward(saved: Saved<Self>, grad: CubeTensor) -> CubeTensor {
        backward(saved.ids, saved.order, grad, saved.vocab)
    }
}
