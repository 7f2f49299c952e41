//! Linear layers on the CPU.

use rayon::prelude::*;

use crate::kernels::cpu::{Matrix, Store, column_sums, parallel_product, rows_per_task};

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
    parallel_product(Matrix::new(x, n, i), Matrix::new(w, o, i).t(), store, out);
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
