//! LayerNorm and RMSNorm on the CPU.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{NormKernels, NormOps, Saved};
use crate::kernels::cpu::tensor::{Floats, build, dims, slice};
use crate::kernels::cpu::{add_rows, rows_per_block, rows_per_task, sum, sum2, vectorized};
use crate::kernels::dispatch::Optional;
use crate::kernels::span::span;

/// Rows of `c` channels, normalized around zero with `rms`, else around their mean.
#[derive(Clone, Copy, Debug)]
struct Shape {
    pub c: usize,
    pub eps: f32,
    pub rms: bool,
}

/// Returns mean and reciprocal standard deviation of a row, or for RMSNorm 0 and the reciprocal root mean square.
#[inline(always)]
fn statistics(x: &[f32], Shape { c, eps, rms }: Shape) -> (f32, f32) {
    let c = c as f32;
    let mean = if rms { 0.0 } else { sum(x, |x| x) / c };
    let variance = sum(x, |x| (x - mean) * (x - mean)) / c;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Normalizes each row of `x [n, c]`, then multiplies by `weight [c]` and adds `bias [c]`.
fn forward(x: &[f32], weight: &[f32], bias: Option<&[f32]>, out: &mut [f32], shape: Shape) {
    let c = shape.c;
    if x.is_empty() {
        return;
    }
    let task = c * rows_per_task(x.len() / c, 4 * c);
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task));
    tasks.for_each(|(out, x)| forward_rows(x, weight, bias, out, shape));
}

vectorized! {
    fn forward_rows(
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
        shape: Shape,
    ) {
        for (x, out) in x.chunks_exact(shape.c).zip(out.chunks_exact_mut(shape.c)) {
            let (mean, scale) = statistics(x, shape);
            for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
                *out = (x - mean) * scale * w;
            }
            if let Some(bias) = bias {
                for (out, &b) in out.iter_mut().zip(bias) {
                    *out += b;
                }
            }
        }
    }
}

/// Gradients of `x`, `weight` and the bias from that of the output, `dy [n, c]`.
fn backward(
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    shape: Shape,
) {
    let c = shape.c;
    let has_bias = db.is_some();
    dw.fill(0.0);
    if x.is_empty() {
        return db.into_iter().for_each(|db| db.fill(0.0));
    }
    let block = c * rows_per_block(x.len() / c, 10 * c);
    // Each block of rows sums the gradients of weight and bias for itself.
    let mut partial = vec![0.0; 2 * c * x.len().div_ceil(block)];
    let (dws, dbs) = partial.split_at_mut(c * x.len().div_ceil(block));
    let tasks = (dx.par_chunks_mut(block), x.par_chunks(block), dy.par_chunks(block));
    let sums = dws.par_chunks_mut(c).zip(dbs.par_chunks_mut(c));
    tasks.into_par_iter().zip(sums).for_each(|((dx, x, dy), (dw_part, db_part))| {
        backward_rows(x, weight, dy, dx, dw_part, has_bias.then_some(db_part), shape);
    });
    add_rows(dw, dws);
    if let Some(db) = db {
        db.fill(0.0);
        add_rows(db, dbs);
    }
}

vectorized! {
    fn backward_rows(
        x: &[f32],
        weight: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dw: &mut [f32],
        db: Option<&mut [f32]>,
        shape: Shape,
    ) {
        let c = shape.c;
        if let Some(db) = db {
            add_rows(db, dy);
        }
        for ((x, dy), dx) in x.chunks_exact(c).zip(dy.chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
            let (mean, scale) = statistics(x, shape);
            for ((dw, &dy), &x) in dw.iter_mut().zip(dy).zip(x) {
                *dw += dy * ((x - mean) * scale);
            }
            for ((dx, &dy), &w) in dx.iter_mut().zip(dy).zip(weight) {
                *dx = dy * w;
            }
            // The gradient's parts along the two directions that normalizing takes out.
            let shift = if shape.rms { 0.0 } else { sum(dx, |d| d) / c as f32 };
            let along = sum2(dx, x, |d, x| d * ((x - mean) * scale)) / c as f32;
            for (dx, &x) in dx.iter_mut().zip(x) {
                *dx = scale * (*dx - shift - (x - mean) * scale * along);
            }
        }
    }
}

impl NormOps for Flex {
    fn normalize(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> FlexTensor {
        let _span = span("norm");
        let [n, c] = dims(&x);
        let x = Floats::of(x);
        let weight = Floats::of(weight);
        let bias = bias.into_option().map(Floats::of);
        let shape = Shape { c, eps: eps as f32, rms };
        build([n, c], |out| {
            forward(x.get(), weight.get(), slice(&bias), out, shape);
        })
    }
}

impl NormKernels for Flex {
    fn norm_backward(
        saved: Saved<Self>,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
        let _span = span("norm, backward");
        let [n, c] = dims(&saved.x);
        let shape = Shape { c, eps: saved.eps as f32, rms: saved.rms };
        let x = Floats::of(saved.x);
        let weight = Floats::of(saved.weight);
        let grad = Floats::of(grad);
        let mut bias = saved.has_bias.then(|| vec![0.0; c]);
        let mut weight_grad = vec![0.0; c];
        let x = build([n, c], |dx| {
            let bias = bias.as_deref_mut();
            backward(x.get(), weight.get(), grad.get(), dx, &mut weight_grad, bias, shape);
        });
        let row = |values| FlexTensor::from_data(TensorData::new(values, [c]));
        (x, row(weight_grad), bias.map(row))
    }
}
