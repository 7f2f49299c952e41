//! Row normalization on GPUs.
//!
//! Forward and the gradient of `x`: on a GPU, 32 to 256 units share a row and combine their sums in as many floats of
//! shared memory; on a software adapter, a unit has a row of its own. A row is read again for each pass over it (mean,
//! variance, result), which the caches serve.
//!
//! Gradients of weight and bias are sums over columns. A unit sums a column (4 numbers wide) over 64 rows, a second
//! kernel sums these blocks: one unit for a whole column would leave a GPU idle. On a software adapter a block is all
//! rows.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{NormKernels, NormOps, Saved};
use crate::kernels::dispatch::Optional;
use crate::kernels::gpu::{
    Fold, dims, elem, empty, empty_of, fold, input, is_serial, lane, output, row, spread,
    spread_rows, vector_size,
};

/// Rows over which one unit sums the gradients of weight and bias on a GPU.
const BLOCK: usize = 64;

fn forward(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    eps: f64,
    rms: bool,
) -> CubeTensor {
    let [rows, width] = dims(&x);
    let y = empty([rows, width], &x);
    let client = x.client.clone();
    let dtype = elem(&x);
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&x, rows, width / vector);
    // SAFETY: the kernel stays within its rows, and `weight` and `bias` are as wide as they.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x),
            input(weight),
            bias.map(input).into(),
            output(&y),
            rows,
            width / vector,
            eps as f32,
            rms,
            lanes,
            dtype,
        );
    }
    y
}

fn backward(
    x: CubeTensor,
    weight: CubeTensor,
    has_bias: bool,
    eps: f64,
    rms: bool,
    grad: CubeTensor,
) -> (CubeTensor, CubeTensor, Option<CubeTensor>) {
    // Both are read twice.
    let [x, grad] = [x, grad].map(into_contiguous);
    let client = x.client.clone();
    let dtype = elem(&x);
    let [rows, width] = dims(&x);
    let dx = empty([rows, width], &x);
    let statistics = empty_of(DType::F32, [rows, 2], &x);
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&x, rows, width / vector);
    let weight_dtype = weight.dtype;
    // SAFETY: the kernel stays within its rows, and `weight` is as wide as they.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x.clone()),
            input(weight),
            input(grad.clone()),
            output(&dx),
            output(&statistics),
            rows,
            width / vector,
            eps as f32,
            rms,
            lanes,
            dtype,
        );
    }
    let block = if is_serial(&x) { rows } else { BLOCK };
    let blocks = rows.div_ceil(block);
    let sums = |blocks: usize, dtype: DType| {
        let sum = || empty_of(dtype, [blocks * width], &x);
        (sum(), has_bias.then(sum))
    };
    let result = sums(1, weight_dtype);
    let (dweight, dbias) = if blocks == 1 { result.clone() } else { sums(blocks, DType::F32) };
    let (count, dim) = spread(&x, blocks * width / vector);
    // SAFETY: the kernel stays within the rows and the blocks.
    unsafe {
        columns_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x),
            input(grad),
            input(statistics),
            output(&dweight),
            dbias.as_ref().map(output).into(),
            rows,
            width / vector,
            block,
            [dtype, elem(&dweight)],
        );
    }
    if blocks > 1 {
        let (count, dim) = spread(&dweight, width / vector);
        // SAFETY: the kernel stays within the columns.
        unsafe {
            blocks_kernel::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                input(dweight),
                dbias.map(input).into(),
                output(&result.0),
                result.1.as_ref().map(output).into(),
                blocks,
                width / vector,
                elem(&result.0),
            );
        }
    }
    (dx, result.0, result.1)
}

/// Mean (zero for RMSNorm) and reciprocal standard deviation of the row of `width` vectors that begins at `start`.
#[cube]
fn statistics_of<F: Float, N: Size>(
    x: &[Vector<F, N>],
    start: usize,
    width: usize,
    eps: f32,
    #[comptime] rms: bool,
    #[comptime] lanes: usize,
) -> (f32, f32) {
    let count = (width * N::value()) as f32;
    let first = lane(lanes);
    let mean = if comptime!(rms) {
        0f32.runtime()
    } else {
        let mut sum = Vector::<f32, N>::zeroed();
        for i in range_stepped(first, width, lanes) {
            sum += Vector::cast_from(x[start + i]);
        }
        fold::<N>(sum, Fold::Sum, lanes) / count
    };
    let mut squares = Vector::<f32, N>::zeroed();
    for i in range_stepped(first, width, lanes) {
        let centered = Vector::<f32, N>::cast_from(x[start + i]) - Vector::new(mean);
        squares += centered * centered;
    }
    let variance = fold::<N>(squares, Fold::Sum, lanes) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    bias: ComptimeOption<&[Vector<F, N>]>,
    y: &mut [Vector<F, N>],
    rows: usize,
    width: usize,
    eps: f32,
    #[comptime] rms: bool,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let (mean, scale) = statistics_of::<F, N>(x, start, width, eps, rms, lanes);
    for i in range_stepped(lane(lanes), width, lanes) {
        let centered = Vector::<f32, N>::cast_from(x[start + i]) - Vector::new(mean);
        let mut value = centered * Vector::new(scale) * Vector::cast_from(weight[i]);
        #[comptime]
        if let ComptimeOption::Some(bias) = bias {
            value += Vector::cast_from(bias[i]);
        }
        y[start + i] = Vector::cast_from(value);
    }
}

/// Writes `dx`, and each row's mean and reciprocal standard deviation to `statistics [N, 2]` for [`columns_kernel`].
#[cube(launch_unchecked)]
fn backward_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    grad: &[Vector<F, N>],
    dx: &mut [Vector<F, N>],
    statistics: &mut [f32],
    rows: usize,
    width: usize,
    eps: f32,
    #[comptime] rms: bool,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let first = lane(lanes);
    let (mean, scale) = statistics_of::<F, N>(x, start, width, eps, rms, lanes);
    if first == 0 {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = scale;
    }
    let (mean, scale) = (Vector::<f32, N>::new(mean), Vector::<f32, N>::new(scale));
    let mut sum = Vector::<f32, N>::zeroed();
    let mut product = Vector::<f32, N>::zeroed();
    for i in range_stepped(first, width, lanes) {
        let inner = Vector::<f32, N>::cast_from(grad[start + i]) * Vector::cast_from(weight[i]);
        sum += inner;
        product += inner * (Vector::cast_from(x[start + i]) - mean) * scale;
    }
    let count = (width * N::value()) as f32;
    // Without RMSNorm, the mean is subtracted: a shift of the whole row has no effect.
    let shift = if comptime!(rms) {
        Vector::<f32, N>::zeroed()
    } else {
        Vector::new(fold::<N>(sum, Fold::Sum, lanes) / count)
    };
    let along = Vector::<f32, N>::new(fold::<N>(product, Fold::Sum, lanes) / count);
    for i in range_stepped(first, width, lanes) {
        let inner = Vector::<f32, N>::cast_from(grad[start + i]) * Vector::cast_from(weight[i]);
        let normal = (Vector::<f32, N>::cast_from(x[start + i]) - mean) * scale;
        dx[start + i] = Vector::cast_from((inner - shift - normal * along) * scale);
    }
}

/// Sums the gradients of weight and bias over each `block` of rows: `[ceil(N / block), C]`.
#[cube(launch_unchecked)]
fn columns_kernel<F: Float, A: Float, N: Size>(
    x: &[Vector<F, N>],
    grad: &[Vector<F, N>],
    statistics: &[f32],
    dweight: &mut [Vector<A, N>],
    dbias: ComptimeOption<&mut [Vector<A, N>]>,
    rows: usize,
    width: usize,
    block: usize,
    #[define(F, A)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS >= rows.div_ceil(block) * width {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let start = ABSOLUTE_POS / width * block;
    let end = min(start + block, rows);
    let mut weight_sum = Vector::<f32, N>::zeroed();
    let mut bias_sum = Vector::<f32, N>::zeroed();
    for row in start..end {
        let at = row * width + column;
        let centered = Vector::<f32, N>::cast_from(x[at]) - Vector::new(statistics[2 * row]);
        let gradient = Vector::<f32, N>::cast_from(grad[at]);
        weight_sum += gradient * centered * Vector::new(statistics[2 * row + 1]);
        bias_sum += gradient;
    }
    dweight[ABSOLUTE_POS] = Vector::cast_from(weight_sum);
    #[comptime]
    if let ComptimeOption::Some(dbias) = dbias {
        dbias[ABSOLUTE_POS] = Vector::cast_from(bias_sum);
    }
}

/// Sums the blocks of [`columns_kernel`].
#[cube(launch_unchecked)]
fn blocks_kernel<F: Float, N: Size>(
    weight_sums: &[Vector<f32, N>],
    bias_sums: ComptimeOption<&[Vector<f32, N>]>,
    dweight: &mut [Vector<F, N>],
    dbias: ComptimeOption<&mut [Vector<F, N>]>,
    blocks: usize,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= width {
        terminate!();
    }
    dweight[ABSOLUTE_POS] = Vector::cast_from(column_sum::<N>(weight_sums, blocks, width));
    #[comptime]
    if let ComptimeOption::Some(dbias) = dbias {
        let sums = bias_sums.unwrap();
        dbias[ABSOLUTE_POS] = Vector::cast_from(column_sum::<N>(sums, blocks, width));
    }
}

/// Sum of this unit's column.
#[cube]
fn column_sum<N: Size>(values: &[Vector<f32, N>], blocks: usize, width: usize) -> Vector<f32, N> {
    let mut sum = Vector::<f32, N>::zeroed();
    for i in range_stepped(ABSOLUTE_POS, blocks * width, width) {
        sum += values[i];
    }
    sum
}

impl NormOps for CubeBackend {
    fn normalize(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> CubeTensor {
        forward(x, weight, bias.into_option(), eps, rms)
    }
}

impl NormKernels for CubeBackend {
    fn norm_backward(
        saved: Saved<Self>,
        grad: CubeTensor,
    ) -> (CubeTensor, CubeTensor, Option<CubeTensor>) {
        let Saved { x, weight, has_bias, eps, rms } = saved;
        backward(x, weight, has_bias, eps, rms, grad)
    }
}
