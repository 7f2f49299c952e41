//! Linear layers on the CPU.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::gelu::{LinearGeluKernels, LinearGeluOps};
use super::{FEW_ROWS, LinearKernels, LinearOps};
use crate::kernels::cpu::tensor::{Floats, build, dims, slice};
use crate::kernels::cpu::{
    Matrix, Store, column_sums, parallel_product, rows_per_task, sum2, vectorized,
};
use crate::kernels::dispatch::Optional;
use crate::kernels::span::span;

/// `n` rows, `i` input features, `o` output features.
#[derive(Clone, Copy, Debug)]
struct Shape {
    pub n: usize,
    pub i: usize,
    pub o: usize,
}

/// Computes `out [n, o] = x [n, i] · wᵀ + bias + residual` with `w [o, i]`, `bias [o]` and `residual [n, o]`.
fn forward(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    out: &mut [f32],
    Shape { n, i, o }: Shape,
) {
    if n == 0 || o == 0 {
        return;
    }
    let width = o * rows_per_task(n, o);
    match (bias, residual) {
        (None, None) => {}
        (None, Some(residual)) => {
            let tasks = out.par_chunks_mut(width).zip(residual.par_chunks(width));
            tasks.for_each(|(out, residual)| out.copy_from_slice(residual));
        }
        (Some(bias), None) => out.par_chunks_mut(width).for_each(|out| {
            out.chunks_exact_mut(o).for_each(|row| row.copy_from_slice(bias));
        }),
        (Some(bias), Some(residual)) => {
            let tasks = out.par_chunks_mut(width).zip(residual.par_chunks(width));
            tasks.for_each(|(out, residual)| {
                for (out, residual) in out.chunks_exact_mut(o).zip(residual.chunks_exact(o)) {
                    for ((out, &r), &b) in out.iter_mut().zip(residual).zip(bias) {
                        *out = r + b;
                    }
                }
            });
        }
    }
    let store = if bias.is_some() || residual.is_some() { Store::Add } else { Store::Replace };
    if n <= FEW_ROWS {
        return few_rows(x, w, store, out, Shape { n, i, o });
    }
    parallel_product(Matrix::new(x, n, i), Matrix::new(w, o, i).t(), store, out);
}

/// Multiplies few rows, limited by reading `w` once: everything else stays in the cache. gemm reaches half the memory
/// bandwidth here.
fn few_rows(x: &[f32], w: &[f32], store: Store, out: &mut [f32], Shape { n, i, o }: Shape) {
    // Transposed, so that each task writes a contiguous piece.
    let mut columns = vec![0.0; o * n];
    let task = rows_per_task(o, i);
    let tasks = columns.par_chunks_mut(task * n).zip(w.par_chunks(task * i));
    tasks.for_each(|(columns, w)| dot_products(x, w, columns, n, i));
    for (row, out) in out.chunks_exact_mut(o).enumerate() {
        for (out, column) in out.iter_mut().zip(columns.chunks_exact(n)) {
            match store {
                Store::Replace => *out = column[row],
                Store::Add => *out += column[row],
            }
        }
    }
}

vectorized! {
    /// `out [o, n] = w [o, i] · x [n, i]ᵀ`
    fn dot_products(x: &[f32], w: &[f32], out: &mut [f32], n: usize, i: usize) {
        for (w, out) in w.chunks_exact(i).zip(out.chunks_exact_mut(n)) {
            for (x, out) in x.chunks_exact(i).zip(out) {
                *out = sum2(x, w, |x, w| x * w);
            }
        }
    }
}

/// Computes the gradient of the input, `dx [n, i] = dy [n, o] · w`.
fn input_grad(dy: &[f32], w: &[f32], dx: &mut [f32], Shape { n, i, o }: Shape) {
    parallel_product(Matrix::new(dy, n, o), Matrix::new(w, o, i), Store::Replace, dx);
}

/// Computes the gradients of the parameters: `dw [o, i] = dyᵀ · x`, and `db [o]`, the column sums of `dy`.
fn weight_grad(
    dy: &[f32],
    x: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    Shape { n, i, o }: Shape,
) {
    parallel_product(Matrix::new(dy, n, o).t(), Matrix::new(x, n, i), Store::Replace, dw);
    if let Some(db) = db {
        column_sums(dy, db);
    }
}

impl LinearOps for Flex {
    fn project(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FlexTensor {
        let _span = span("linear");
        let ([n, i], [o, _]) = (dims(&x), dims(&weight));
        let (x, weight) = (Floats::of(x), Floats::of(weight));
        let bias = bias.into_option().map(Floats::of);
        let residual = residual.into_option().map(Floats::of);
        let shape = Shape { n, i, o };
        build([n, o], |out| {
            let (bias, residual) = (slice(&bias), slice(&residual));
            forward(x.get(), weight.get(), bias, residual, out, shape);
        })
    }

    fn product(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        Flex::float_matmul(a, b)
    }
}

impl LinearKernels for Flex {
    fn linear_input_grad(grad: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let _span = span("linear, input gradient");
        let ([n, o], [_, i]) = (dims(&grad), dims(&weight));
        let (grad, weight) = (Floats::of(grad), Floats::of(weight));
        let shape = Shape { n, i, o };
        build([n, i], |dx| input_grad(grad.get(), weight.get(), dx, shape))
    }

    fn linear_weight_grad(
        grad: FlexTensor,
        x: FlexTensor,
        has_bias: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("linear, weight gradient");
        let ([n, o], [_, i]) = (dims(&grad), dims(&x));
        let (grad, x) = (Floats::of(grad), Floats::of(x));
        let shape = Shape { n, i, o };
        let mut bias = has_bias.then(|| vec![0.0; o]);
        let weight = build([o, i], |dw| {
            weight_grad(grad.get(), x.get(), dw, bias.as_deref_mut(), shape);
        });
        (weight, bias.map(|bias| FlexTensor::from_data(TensorData::new(bias, [o]))))
    }
}

impl LinearGeluOps for Flex {
    fn project_gelu(x: FlexTensor, weight: FlexTensor, bias: Optional<Self>) -> FlexTensor {
        Self::project_gelu_and_keep(x, weight, bias).0
    }
}

impl LinearGeluKernels for Flex {}
