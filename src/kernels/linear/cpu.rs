//! Linear layers on the CPU.

use rayon::prelude::*;

use super::FEW_ROWS;
use crate::kernels::cpu::{
    Matrix, Store, column_sums, parallel_product, rows_per_task, sum2, vectorized,
};

/// `n` rows, from `i` features to `o`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub n: usize,
    pub i: usize,
    pub o: usize,
}

/// `out [n, o] = x [n, i] · wᵀ + bias + residual`, with `w [o, i]`, `bias [o]` and `residual [n, o]`.
pub fn forward(
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

/// The product where `w` is read once and everything else stays in the cache: gemm reaches half the memory's speed
/// there.
fn few_rows(x: &[f32], w: &[f32], store: Store, out: &mut [f32], Shape { n, i, o }: Shape) {
    // Turned around, what a task writes is in one piece.
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

/// The gradient of the input: `dx [n, i] = dy [n, o] · w`.
pub fn input_grad(dy: &[f32], w: &[f32], dx: &mut [f32], Shape { n, i, o }: Shape) {
    parallel_product(Matrix::new(dy, n, o), Matrix::new(w, o, i), Store::Replace, dx);
}

/// The gradients of the parameters: `dw [o, i] = dyᵀ · x`, and `db [o]` the sums of `dy`'s columns.
pub fn weight_grad(
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
