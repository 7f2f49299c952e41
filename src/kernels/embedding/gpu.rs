//! Table rows in CubeCL.

use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::kernels::gpu::{elem, empty, lane, row, share, spread_rows, stride, vector_size};

/// Rows `ids [N]`, i32, of `table [V, C]`: `[N, C]`.
pub fn forward(table: CubeTensor, ids: CubeTensor) -> CubeTensor {
    let table = into_contiguous(table);
    let (rows, width) = (ids.meta.shape()[0], table.meta.shape()[1]);
    let (y, client, dtype) = (empty([rows, width], &table), table.client.clone(), elem(&table));
    let vector = vector_size(width);
    let (count, dim) = share(&client, rows * width / vector);
    forward_kernel::launch(
        &client,
        count,
        dim,
        vector,
        table.into_buffer_arg(),
        into_contiguous(ids).into_buffer_arg(),
        y.clone().into_buffer_arg(),
        width / vector,
        dtype,
    );
    y
}

/// The table's gradient `[V, C]` from `grad [N, C]`: each row the sum of the gradients of its uses.
///
/// `order [N]`, i32, lists the places in `ids [N]` so that their ids ascend, equal ones in their order.
pub fn backward(ids: CubeTensor, order: CubeTensor, grad: CubeTensor, vocab: usize) -> CubeTensor {
    let grad = into_contiguous(grad);
    let width = grad.meta.shape()[1];
    let (table, client, dtype) = (empty([vocab, width], &grad), grad.client.clone(), elem(&grad));
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&client, vocab, width / vector);
    backward_kernel::launch(
        &client,
        count,
        dim,
        vector,
        into_contiguous(ids).into_buffer_arg(),
        into_contiguous(order).into_buffer_arg(),
        grad.into_buffer_arg(),
        table.clone().into_buffer_arg(),
        width / vector,
        lanes,
        dtype,
    );
    table
}

#[cube(launch)]
fn forward_kernel<F: Float, N: Size>(
    table: &[Vector<F, N>],
    ids: &[i32],
    y: &mut [Vector<F, N>],
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, y.len(), stride()) {
        let id = ids[i / width] as usize;
        y[i] = table[id * width + i % width];
    }
}

/// Each row of the table looks for its uses itself, so that no two units add to the same number.
#[cube(launch)]
fn backward_kernel<F: Float, N: Size>(
    ids: &[i32],
    order: &[i32],
    grad: &[Vector<F, N>],
    table: &mut [Vector<F, N>],
    width: usize,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    let start = row * width;
    if start >= table.len() {
        terminate!();
    }
    let begin = first_use(ids, order, row as i32);
    let end = first_use(ids, order, row as i32 + 1);
    for i in range_stepped(lane(lanes), width, lanes) {
        let mut sum = Vector::<f32, N>::zeroed();
        for rank in begin..end {
            sum += Vector::cast_from(grad[order[rank] as usize * width + i]);
        }
        table[start + i] = Vector::cast_from(sum);
    }
}

/// How many places hold ids below `id`.
#[cube]
fn first_use(ids: &[i32], order: &[i32], id: i32) -> usize {
    let mut begin = 0usize.runtime();
    let mut end = order.len();
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
