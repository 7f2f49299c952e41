//! Matrix products in CubeCL: burn's own on a real GPU unless there are few rows, one of ours on a software adapter.

mod few;
mod product;
mod tile;

use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::FEW_ROWS;
use crate::kernels::gpu::{elem, empty, is_serial, spread, vector_size};
use few::few_rows;
use product::{Operand, product};

/// `x W^T + bias + residual`: `x [N, I]`, `weight [O, I]`, `bias [O]`, `residual [N, O]` to `[N, O]`.
pub fn forward(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
) -> CubeTensor {
    if is_serial() {
        return product(Operand::rows(x), Operand::rows(weight), bias, residual, None);
    }
    if x.meta.shape()[0] <= FEW_ROWS {
        return few_rows(x, weight, bias, residual);
    }
    let y = CubeBackend::float_matmul(x, CubeBackend::float_transpose(weight));
    if bias.is_some() || residual.is_some() {
        add(&y, bias, residual);
    }
    y
}

/// `grad W`: `grad [N, O]`, `weight [O, I]` to `[N, I]`.
pub fn input_grad(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
    if is_serial() {
        return product(Operand::rows(grad), Operand::columns(weight), None, None, None);
    }
    CubeBackend::float_matmul(grad, weight)
}

/// `grad^T x` and, with a bias, the column sums of `grad`: `grad [N, O]`, `x [N, I]` to `[O, I]` and `[O]`.
pub fn weight_grad(
    grad: CubeTensor,
    x: CubeTensor,
    has_bias: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let width = grad.meta.shape()[1];
    if is_serial() {
        let sums = has_bias.then(|| empty([width], &grad));
        let (a, b) = (Operand::columns(grad), Operand::columns(x));
        return (product(a, b, None, None, sums.clone()), sums);
    }
    let sum = |grad| reshape(CubeBackend::float_sum_dim(grad, 0), [width].into());
    let sums = has_bias.then(|| sum(grad.clone()));
    (CubeBackend::float_matmul(CubeBackend::float_transpose(grad), x), sums)
}

/// Adds `bias [O]` and `residual [N, O]` to `y [N, O]`.
fn add(y: &CubeTensor, bias: Option<CubeTensor>, residual: Option<CubeTensor>) {
    let vector = vector_size(y.meta.shape()[1]);
    let width = y.meta.shape()[1] / vector;
    let (count, dim) = spread(&y.client, y.meta.num_elements() / vector);
    let argument = |tensor: CubeTensor| into_contiguous(tensor).into_buffer_arg();
    // SAFETY: the kernel stays within `y`, `residual` is as large and `bias` as wide.
    unsafe {
        add_kernel::launch_unchecked(
            &y.client,
            count,
            dim,
            vector,
            y.clone().into_buffer_arg(),
            bias.map(argument).into(),
            residual.map(argument).into(),
            width,
            elem(y),
        );
    }
}

#[cube(launch_unchecked)]
fn add_kernel<F: Float, N: Size>(
    y: &mut [Vector<F, N>],
    bias: ComptimeOption<&[Vector<F, N>]>,
    residual: ComptimeOption<&[Vector<F, N>]>,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= y.len() {
        terminate!();
    }
    let mut value = Vector::<f32, N>::cast_from(y[ABSOLUTE_POS]);
    #[comptime]
    if let ComptimeOption::Some(bias) = bias {
        value += Vector::cast_from(bias[ABSOLUTE_POS % width]);
    }
    #[comptime]
    if let ComptimeOption::Some(residual) = residual {
        value += Vector::cast_from(residual[ABSOLUTE_POS]);
    }
    y[ABSOLUTE_POS] = Vector::cast_from(value);
}
