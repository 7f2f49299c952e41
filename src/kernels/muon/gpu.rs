//! Stacks of matrices on GPUs: up to 16 matrices per launch, as far as the device's buffer bindings allow. A unit handles
//! the same element of each matrix; no shared memory.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{MuonKernels, Stack};
use crate::kernels::gpu::{elem, empty, input, output, own, share, stride};

/// Matrices per launch at most: a kernel's code grows with their number.
const MANY: usize = 16;

fn gather(matrices: Vec<CubeTensor>, stack: &Stack) -> CubeTensor {
    let out = empty([matrices.len(), stack.rows, stack.columns], &matrices[0]);
    for (first, part) in parts(&matrices) {
        let (count, dim) = share(&out, stack.rows * stack.columns);
        let (down, right) = steps(stack, first, part.len());
        // SAFETY: the kernel stays within each matrix and its place in the stack, which are as large.
        unsafe {
            gather_kernel::launch_unchecked(
                &out.client,
                count,
                dim,
                part.iter().cloned().map(input).collect(),
                output(&out),
                first,
                stack.rows,
                stack.columns,
                down.into_iter().collect(),
                right.into_iter().collect(),
                part.len(),
                elem(&out),
            );
        }
    }
    out
}

/// Replaces each of `matrices`, which must not be shared, by `keep * matrix - rate * direction`.
fn descend(
    matrices: Vec<CubeTensor>,
    directions: CubeTensor,
    stack: &Stack,
    keep: f32,
    rates: &[f32],
) -> Vec<CubeTensor> {
    for (first, part) in parts(&matrices) {
        let (count, dim) = share(&directions, stack.rows * stack.columns);
        let (down, right) = steps(stack, first, part.len());
        // SAFETY: the kernel stays within each matrix and its place in the stack, which are as large.
        unsafe {
            descend_kernel::launch_unchecked(
                &directions.client,
                count,
                dim,
                part.iter().map(output).collect(),
                input(directions.clone()),
                first,
                stack.rows,
                stack.columns,
                down.into_iter().collect(),
                right.into_iter().collect(),
                keep,
                rates[first..first + part.len()].iter().copied().collect(),
                part.len(),
                elem(&directions),
            );
        }
    }
    matrices
}

/// The matrices of each launch, with the index of the first.
fn parts(matrices: &[CubeTensor]) -> impl Iterator<Item = (usize, &[CubeTensor])> {
    let buffers = matrices[0].client.properties().hardware.max_bindings as usize;
    let most = (buffers - 1).min(MANY);
    matrices.chunks(most).enumerate().map(move |(i, part)| (i * most, part))
}

/// Strides, in each of `count` matrices from `first` on, of the stack's rows and columns.
fn steps(stack: &Stack, first: usize, count: usize) -> (Vec<usize>, Vec<usize>) {
    let step = |tall: &bool| if *tall { (1, stack.rows) } else { (stack.columns, 1) };
    stack.tall[first..first + count].iter().map(step).unzip()
}

/// Element `(row, column)` of a stacked matrix is at `row * down + column * right` of the matrix itself.
#[cube(launch_unchecked)]
fn gather_kernel<F: Float>(
    matrices: &Sequence<Box<[F]>>,
    out: &mut [F],
    first: usize,
    rows: usize,
    columns: usize,
    down: &Sequence<usize>,
    right: &Sequence<usize>,
    #[comptime] count: usize,
    #[define(F)] _dtype: ElemType,
) {
    let size = rows * columns;
    for i in range_stepped(ABSOLUTE_POS, size, stride()) {
        let (row, column) = (i / columns, i % columns);
        #[unroll]
        for matrix in 0..count {
            let at = row * *down.index(matrix) + column * *right.index(matrix);
            out[(first + matrix) * size + i] = matrices.index(matrix)[at];
        }
    }
}

/// Addresses as in [`gather_kernel`].
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
    #[comptime] count: usize,
    #[define(F)] _dtype: ElemType,
) {
    let size = rows * columns;
    for i in range_stepped(ABSOLUTE_POS, size, stride()) {
        let (row, column) = (i / columns, i % columns);
        #[unroll]
        for matrix in 0..count {
            let at = row * *down.index(matrix) + column * *right.index(matrix);
            let direction = f32::cast_from(directions[(first + matrix) * size + i]);
            let values = matrices.index_mut(matrix);
            let value = f32::cast_from(values[at]) * keep - direction * *rates.index(matrix);
            values[at] = F::cast_from(value);
        }
    }
}

impl MuonKernels for CubeBackend {
    fn gather(matrices: Vec<CubeTensor>, stack: &Stack) -> CubeTensor {
        gather(matrices, stack)
    }

    fn descend(
        matrices: Vec<CubeTensor>,
        directions: CubeTensor,
        stack: &Stack,
        keep: f32,
        rates: &[f32],
    ) -> Vec<CubeTensor> {
        let matrices = matrices.into_iter().map(own).collect();
        descend(matrices, directions, stack, keep, rates)
    }
}
