//! Stacks of matrices in CubeCL: as many matrices in a launch as a kernel may have buffers.

use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Stack;
use crate::kernels::gpu::{elem, empty, share, stride};

/// Matrices a launch takes where buffers are no limit: a kernel's code grows with them.
const MANY: usize = 16;

/// `matrices` as one tensor `[N, rows, columns]`.
pub fn gather(matrices: Vec<CubeTensor>, stack: &Stack) -> CubeTensor {
    let out = empty([matrices.len(), stack.rows, stack.columns], &matrices[0]);
    let matrices: Vec<CubeTensor> = matrices.into_iter().map(into_contiguous).collect();
    for (first, part) in parts(&matrices) {
        let (count, dim) = share(&out.client, stack.rows * stack.columns);
        let (down, right) = steps(stack, first, part.len());
        // SAFETY: the kernel stays within each matrix and its place in the stack, which are as large.
        unsafe {
            gather_kernel::launch_unchecked(
                &out.client,
                count,
                dim,
                part.iter().map(|matrix| matrix.clone().into_buffer_arg()).collect(),
                out.clone().into_buffer_arg(),
                first,
                stack.rows,
                stack.columns,
                down.into_iter().collect(),
                right.into_iter().collect(),
                elem(&out),
            );
        }
    }
    out
}

/// `keep * matrix - rate * direction` in place of each of `matrices`, which nobody else may hold.
pub fn descend(
    matrices: Vec<CubeTensor>,
    directions: CubeTensor,
    stack: &Stack,
    keep: f32,
    rates: &[f32],
) -> Vec<CubeTensor> {
    let directions = into_contiguous(directions);
    for (first, part) in parts(&matrices) {
        let (count, dim) = share(&directions.client, stack.rows * stack.columns);
        let (down, right) = steps(stack, first, part.len());
        // SAFETY: the kernel stays within each matrix and its place in the stack, which are as large.
        unsafe {
            descend_kernel::launch_unchecked(
                &directions.client,
                count,
                dim,
                part.iter().map(|matrix| matrix.clone().into_buffer_arg()).collect(),
                directions.clone().into_buffer_arg(),
                first,
                stack.rows,
                stack.columns,
                down.into_iter().collect(),
                right.into_iter().collect(),
                keep,
                rates[first..first + part.len()].iter().copied().collect(),
                elem(&directions),
            );
        }
    }
    matrices
}

/// The matrices of each launch, and the number of the first of them.
fn parts(matrices: &[CubeTensor]) -> impl Iterator<Item = (usize, &[CubeTensor])> {
    let buffers = matrices[0].client.properties().hardware.max_bindings as usize;
    let most = (buffers - 1).min(MANY);
    matrices.chunks(most).enumerate().map(move |(i, part)| (i * most, part))
}

/// How far apart neighbours in the stack are in each of `count` matrices from `first` on: those below each
/// other, and those side by side.
fn steps(stack: &Stack, first: usize, count: usize) -> (Vec<usize>, Vec<usize>) {
    let step = |tall: &bool| if *tall { (1, stack.rows) } else { (stack.columns, 1) };
    stack.tall[first..first + count].iter().map(step).unzip()
}

/// Number `(row, column)` of a stacked matrix stands at `row * down + column * right` in the matrix itself.
#[cube(launch_unchecked)]
fn gather_kernel<F: Float>(
    matrices: &Sequence<Box<[F]>>,
    out: &mut [F],
    first: usize,
    rows: usize,
    columns: usize,
    down: &Sequence<usize>,
    right: &Sequence<usize>,
    #[define(F)] _dtype: ElemType,
) {
    let size = rows * columns;
    for i in range_stepped(ABSOLUTE_POS, size, stride()) {
        let (row, column) = (i / columns, i % columns);
        #[unroll]
        for matrix in 0..matrices.len() {
            let at = row * *down.index(matrix) + column * *right.index(matrix);
            out[(first + matrix) * size + i] = matrices.index(matrix)[at];
        }
    }
}

/// As [`gather_kernel`], the other way.
#[cube(launch_unchecked)]
fn descend_kernel<F: Float>(
    matrices: &mut Sequence<Box<[F]>>,
    directions: &[F],
    first: usize,
    rows: usize,
    columns: usize,
    down: &Sequence<usize>,
    right: &Sequence<usize>,
    keep: f32,
    rates: &Sequence<f32>,
    #[define(F)] _dtype: ElemType,
) {
    let size = rows * columns;
    for i in range_stepped(ABSOLUTE_POS, size, stride()) {
        let (row, column) = (i / columns, i % columns);
        #[unroll]
        for matrix in 0..matrices.len() {
            let at = row * *down.index(matrix) + column * *right.index(matrix);
            let direction = f32::cast_from(directions[(first + matrix) * size + i]);
            let values = matrices.index_mut(matrix);
            let value = f32::cast_from(values[at]) * keep - direction * *rates.index(matrix);
            values[at] = F::cast_from(value);
        }
    }
}
