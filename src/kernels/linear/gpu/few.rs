//! Products of few rows, limited by reading the weight once.

use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::kernels::gpu::{Fold, dims, elem, empty, fold, input, output, vector_size};

/// Units that share a row of the weight.
const LANES: usize = 64;

/// Computes `x Wᵀ + bias + residual`. The units of a cube read a row of the weight once for all rows of `x [N, I]`.
pub(super) fn few_rows(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
) -> CubeTensor {
    let client = x.client.clone();
    let dtype = elem(&x);
    let [rows, depth] = dims(&x);
    let columns = dims(&weight)[0];
    let out = empty([rows, columns], &x);
    let vector = vector_size(depth);
    let count = calculate_cube_count_elemwise(&client, columns, CubeDim::new_single());
    // SAFETY: the kernel stays within the rows, the columns and the depth that the tensors have.
    unsafe {
        few_rows_kernel::launch_unchecked(
            &client,
            count,
            CubeDim::new_1d(LANES as u32),
            vector,
            input(x),
            input(weight),
            bias.map(input).into(),
            residual.map(input).into(),
            output(&out),
            rows,
            columns,
            depth / vector,
            rows.next_power_of_two(),
            dtype,
        );
    }
    out
}

/// A cube computes a column of `out [rows, columns]`.
#[cube(launch_unchecked)]
fn few_rows_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    bias: ComptimeOption<&[F]>,
    residual: ComptimeOption<&[F]>,
    out: &mut [F],
    rows: usize,
    columns: usize,
    depth: usize,
    #[comptime] tile: usize,
    #[define(F)] _dtype: ElemType,
) {
    let column = CUBE_POS;
    if column >= columns {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..tile {
        sums.push(RuntimeCell::new(Vector::new(0f32)));
    }
    for i in range_stepped(unit, depth, LANES) {
        let w = Vector::<f32, N>::cast_from(weight[column * depth + i]);
        #[unroll]
        for row in 0..tile {
            let x = Vector::cast_from(x[min(row, rows - 1) * depth + i]);
            sums[row].store(fma(x, w, sums[row].read()));
        }
    }
    let mut start = 0f32;
    #[comptime]
    if let ComptimeOption::Some(bias) = bias {
        start += f32::cast_from(bias[column]);
    }
    #[unroll]
    for row in 0..tile {
        let mut value = start + fold(sums[row].read(), Fold::Sum, LANES);
        if unit == 0 && row < rows {
            let at = row * columns + column;
            #[comptime]
            if let ComptimeOption::Some(residual) = residual {
                value += f32::cast_from(residual[at]);
            }
            out[at] = F::cast_from(value);
        }
    }
}
