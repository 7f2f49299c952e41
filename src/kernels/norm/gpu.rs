//! Row normalization in CubeCL.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::kernels::gpu::{
    Fold, elem, empty, empty_of, fold, is_serial, lane, row, spread, spread_rows, vector_size,
};

/// Rows whose parts of the gradients of weight and bias one unit sums on a real GPU, where a whole column
/// would keep too few units busy.
const BLOCK: usize = 64;

/// `y [N, C]` of `x [N, C]`, `weight [C]` and `bias [C]`.
pub fn forward(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    eps: f64,
    rms: bool,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let (y, client, dtype) = (empty(x.meta.shape().clone(), &x), x.client.clone(), elem(&x));
    let (rows, width) = (x.meta.shape()[0], x.meta.shape()[1]);
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&client, rows, width / vector);
    // SAFETY: the kernel stays within its rows, and `weight` and `bias` are as wide as they.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            bias.map(|bias| into_contiguous(bias).into_buffer_arg()).into(),
            y.clone().into_buffer_arg(),
            eps as f32,
            rms,
            lanes,
            dtype,
        );
    }
    y
}

/// Gradients of `x [N, C]`, `weight [C]` and, if there is one, the bias `[C]`, from `grad [N, C]`.
pub fn backward(
    x: CubeTensor,
    weight: CubeTensor,
    has_bias: bool,
    eps: f64,
    rms: bool,
    grad: CubeTensor,
) -> (CubeTensor, CubeTensor, Option<CubeTensor>) {
    let (x, weight, grad) = (into_contiguous(x), into_contiguous(weight), into_contiguous(grad));
    let (client, dtype) = (x.client.clone(), elem(&x));
    let (rows, width) = (x.meta.shape()[0], x.meta.shape()[1]);
    let dx = empty([rows, width], &x);
    let statistics = empty_of(DType::F32, [rows, 2], &x);
    let vector = vector_size(width);
    let (count, dim, lanes) = spread_rows(&client, rows, width / vector);
    // SAFETY: the kernel stays within its rows, and `weight` is as wide as they.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.clone().into_buffer_arg(),
            weight.clone().into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            dx.clone().into_buffer_arg(),
            statistics.clone().into_buffer_arg(),
            eps as f32,
            rms,
            lanes,
            dtype,
        );
    }
    let block = if is_serial() { rows } else { BLOCK };
    let blocks = rows.div_ceil(block);
    let sums = |blocks: usize, dtype: DType| {
        let sum = || empty_of(dtype, [blocks * width], &x);
        (sum(), has_bias.then(sum))
    };
    let result = sums(1, weight.dtype);
    let (dweight, dbias) = if blocks == 1 { result.clone() } else { sums(blocks, DType::F32) };
    let (count, dim) = spread(&client, blocks * width / vector);
    // SAFETY: the kernel stays within the rows and the blocks.
    unsafe {
        columns_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.into_buffer_arg(),
            grad.into_buffer_arg(),
            statistics.into_buffer_arg(),
            dweight.clone().into_buffer_arg(),
            dbias.clone().map(CubeTensor::into_buffer_arg).into(),
            width / vector,
            block,
            [dtype, elem(&dweight)],
        );
    }
    if blocks > 1 {
        let (count, dim) = spread(&client, width / vector);
        // SAFETY: the kernel stays within the columns.
        unsafe {
            blocks_kernel::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                dweight.into_buffer_arg(),
                dbias.map(CubeTensor::into_buffer_arg).into(),
                result.0.clone().into_buffer_arg(),
                result.1.clone().map(CubeTensor::into_buffer_arg).into(),
                elem(&result.0),
            );
        }
    }
    (dx, result.0, result.1)
}

/// Mean, zero for RMSNorm, and reciprocal deviation of the row from `start` on, `width` vectors long.
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
    eps: f32,
    #[comptime] rms: bool,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let width = weight.len();
    let start = row(lanes) * width;
    if start >= x.len() {
        terminate!();
    }
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

/// `dx`, and each row's mean and reciprocal deviation for [`columns_kernel`].
#[cube(launch_unchecked)]
fn backward_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    grad: &[Vector<F, N>],
    dx: &mut [Vector<F, N>],
    statistics: &mut [f32],
    eps: f32,
    #[comptime] rms: bool,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let width = weight.len();
    let row = row(lanes);
    let start = row * width;
    if start >= x.len() {
        terminate!();
    }
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
    // A shift of the whole row changes nothing where the mean is taken off.
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

/// Sums over each `block` rows of a column of `width` vectors.
#[cube(launch_unchecked)]
fn columns_kernel<F: Float, A: Float, N: Size>(
    x: &[Vector<F, N>],
    grad: &[Vector<F, N>],
    statistics: &[f32],
    dweight: &mut [Vector<A, N>],
    dbias: ComptimeOption<&mut [Vector<A, N>]>,
    width: usize,
    block: usize,
    #[define(F, A)] _dtypes: [ElemType; 2],
) {
    if ABSOLUTE_POS >= dweight.len() {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let start = ABSOLUTE_POS / width * block;
    let end = min(start + block, statistics.len() / 2);
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

/// Sums over what [`columns_kernel`] made of several blocks.
#[cube(launch_unchecked)]
fn blocks_kernel<F: Float, N: Size>(
    weight_sums: &[Vector<f32, N>],
    bias_sums: ComptimeOption<&[Vector<f32, N>]>,
    dweight: &mut [Vector<F, N>],
    dbias: ComptimeOption<&mut [Vector<F, N>]>,
    #[define(F)] _dtype: ElemType,
) {
    let width = dweight.len();
    if ABSOLUTE_POS >= width {
        terminate!();
    }
    dweight[ABSOLUTE_POS] = Vector::cast_from(column_sum::<N>(weight_sums, width));
    #[comptime]
    if let ComptimeOption::Some(dbias) = dbias {
        let sums = bias_sums.unwrap();
        dbias[ABSOLUTE_POS] = Vector::cast_from(column_sum::<N>(sums, width));
    }
}

/// The sum of this unit's column.
#[cube]
fn column_sum<N: Size>(values: &[Vector<f32, N>], width: usize) -> Vector<f32, N> {
    let mut sum = Vector::<f32, N>::zeroed();
    for i in range_stepped(ABSOLUTE_POS, values.len(), width) {
        sum += values[i];
    }
    sum
}
