//! Matrix products on GPUs.
//!
//! - On a GPU, many rows: `blas.rs`, a matrix product, then one kernel that adds bias and residual in place unless the
//!   product has done that.
//! - On a GPU, few rows (decoding): `few.rs`, which reads each weight once for all rows. 64 units share a row of the
//!   weight; their partial sums meet in 64 floats of shared memory.
//! - On a software adapter: `product.rs`, whose units each keep a 16 x 16 tile of the result in registers and share no
//!   memory; `tile.rs` reads the operands for it.

mod few;
mod product;
mod tile;

use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::blas::{self, multiply};
use super::gelu::{LinearGeluKernels, LinearGeluOps};
use super::{FEW_ROWS, LinearKernels, LinearOps};
use crate::kernels::activation::{ActivationOps, Kind};
use crate::kernels::dispatch::Optional;
use crate::kernels::gpu::{dims, elem, empty, input, is_serial, output, spread, vector_size};
use few::few_rows;
use product::{Operand, product};

fn forward(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
) -> CubeTensor {
    if is_serial(&x) {
        return product(Operand::rows(x), Operand::rows(weight), bias, residual, None);
    }
    if dims(&x)[0] <= FEW_ROWS {
        return few_rows(x, weight, bias, residual);
    }
    if let Some(y) = blas::project(&x, &weight, bias.as_ref(), residual.as_ref()) {
        return y;
    }
    let y = multiply(x, CubeBackend::float_transpose(weight));
    if bias.is_some() || residual.is_some() {
        add(&y, bias, residual);
    }
    y
}

/// Returns GELU of `x Wᵀ + bias`, and the sum itself.
fn project_gelu(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
) -> (CubeTensor, CubeTensor) {
    let has_many_rows = !is_serial(&x) && dims(&x)[0] > FEW_ROWS;
    let at_once = has_many_rows.then(|| blas::project_gelu(&x, &weight, bias.as_ref()));
    at_once.flatten().unwrap_or_else(|| {
        let sum = forward(x, weight, bias, None);
        (CubeBackend::activate(sum.clone(), Optional::Missing, Kind::GeluTanh), sum)
    })
}

fn input_grad(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
    if is_serial(&grad) {
        return product(Operand::rows(grad), Operand::columns(weight), None, None, None);
    }
    multiply(grad, weight)
}

fn weight_grad(
    grad: CubeTensor,
    x: CubeTensor,
    has_bias: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let width = dims(&grad)[1];
    if is_serial(&grad) {
        let sums = has_bias.then(|| empty([width], &grad));
        let (a, b) = (Operand::columns(grad), Operand::columns(x));
        return (product(a, b, None, None, sums.clone()), sums);
    }
    let sum = |grad| reshape(CubeBackend::float_sum_dim(grad, 0), [width].into());
    let sums = has_bias.then(|| sum(grad.clone()));
    (multiply(CubeBackend::float_transpose(grad), x), sums)
}

/// Adds `bias [O]` and `residual [N, O]` to `y [N, O]`.
fn add(y: &CubeTensor, bias: Option<CubeTensor>, residual: Option<CubeTensor>) {
    let [rows, width] = dims(y);
    let vector = vector_size(width);
    let vectors = rows * width / vector;
    let (count, dim) = spread(y, vectors);
    // SAFETY: the kernel stays within the `vectors` of `y`; `residual` has as many, `bias` one row of them.
    unsafe {
        add_kernel::launch_unchecked(
            &y.client,
            count,
            dim,
            vector,
            output(y),
            bias.map(input).into(),
            residual.map(input).into(),
            vectors,
            width / vector,
            elem(y),
        );
    }
}

#[cube(launch_unchecked)]
fn add_kernel<F: Float, N: Size>(
    y: &mut [Vector<F, N>],
    bias: ComptimeOption<&[Vector<F, N>]>,
    residual: ComptimeOption<&[Vector<F, N>]>,
    vectors: usize,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= vectors {
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

impl LinearOps for CubeBackend {
    fn project(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> CubeTensor {
        forward(x, weight, bias.into_option(), residual.into_option())
    }

    fn product(a: CubeTensor, b: CubeTensor) -> CubeTensor {
        multiply(a, b)
    }
}

impl LinearKernels for CubeBackend {
    fn linear_input_grad(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
        input_grad(grad, weight)
    }

    fn linear_weight_grad(
        grad: CubeTensor,
        x: CubeTensor,
        has_bias: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        weight_grad(grad, x, has_bias)
    }
}

impl LinearGeluOps for CubeBackend {
    fn project_gelu(x: CubeTensor, weight: CubeTensor, bias: Optional<Self>) -> CubeTensor {
        Self::project_gelu_and_keep(x, weight, bias).0
    }
}

impl LinearGeluKernels for CubeBackend {
    fn project_gelu_and_keep(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Optional<Self>,
    ) -> (CubeTensor, CubeTensor) {
        project_gelu(x, weight, bias.into_option())
    }
}
