//! Matrix products in CubeCL.

use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use crate::kernels::gpu::{elem, empty, is_serial, spread, vector_size};

/// Rows and columns of the result that one unit computes on a software adapter, at most.
///
/// Such an adapter spends tens of instructions on each number it reads, one lane after another, and a
/// couple on each multiplication: so many multiplications a number make up for it. A larger tile gains
/// little and takes seconds to compile.
const TILE: usize = 16;

/// Units of a cube: as many as a software adapter runs at once, and no more, to keep all threads busy.
const UNITS: u32 = 8;

/// How much of the depth a unit works through at a time: a vector.
const STEP: usize = 4;

type Vec4 = Vector<f32, Const<STEP>>;

/// `x W^T + bias + residual`: `x [N, I]`, `weight [O, I]`, `bias [O]`, `residual [N, O]` to `[N, O]`.
pub fn forward(
    x: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
) -> CubeTensor {
    if is_serial() {
        return product(Operand::rows(x), Operand::rows(weight), bias, residual, None);
    }
    let y = CubeBackend::float_matmul(x, CubeBackend::float_transpose(weight));
    if bias.is_some() || residual.is_some() {
        add(&y, bias, residual);
    }
    y
}

/// `grad W`: `grad [N, O]`, `weight [O, I]` to `[N, I]`.
pub fn input_grad(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
    if is_serial() {
        return product(Operand::rows(grad), Operand::columns(weight), None, None, None);
    }
    CubeBackend::float_matmul(grad, weight)
}

/// `grad^T x` and, with a bias, the column sums of `grad`: `grad [N, O]`, `x [N, I]` to `[O, I]` and `[O]`.
pub fn weight_grad(
    grad: CubeTensor,
    x: CubeTensor,
    has_bias: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let width = grad.meta.shape()[1];
    if is_serial() {
        let sums = has_bias.then(|| empty([width], &grad));
        let (a, b) = (Operand::columns(grad), Operand::columns(x));
        return (product(a, b, None, None, sums.clone()), sums);
    }
    let sum = |grad| reshape(CubeBackend::float_sum_dim(grad, 0), [width].into());
    let sums = has_bias.then(|| sum(grad.clone()));
    (CubeBackend::float_matmul(CubeBackend::float_transpose(grad), x), sums)
}

/// One side of a product: `lines` rows or columns of the result, each a sum over `depth`.
struct Operand {
    tensor: CubeTensor,
    lines: usize,
    depth: usize,
    /// Whether a line's numbers lie side by side, or else those of a step of the depth.
    by_line: bool,
}

impl Operand {
    /// From `[lines, depth]`.
    fn rows(tensor: CubeTensor) -> Self {
        let (lines, depth) = (tensor.meta.shape()[0], tensor.meta.shape()[1]);
        Self { tensor: into_contiguous(tensor), lines, depth, by_line: true }
    }

    /// From `[depth, lines]`.
    fn columns(tensor: CubeTensor) -> Self {
        let (depth, lines) = (tensor.meta.shape()[0], tensor.meta.shape()[1]);
        Self { tensor: into_contiguous(tensor), lines, depth, by_line: false }
    }

    /// How many numbers to read at a time.
    fn vector(&self) -> usize {
        vector_size(if self.by_line { self.depth } else { self.lines })
    }

    /// How a unit reads it.
    fn side(&self) -> Side {
        Side {
            tile: self.lines.next_power_of_two().clamp(4, TILE),
            by_line: self.by_line,
            whole_steps: self.depth.is_multiple_of(STEP),
        }
    }
}

/// How a unit reads an [`Operand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Side {
    /// How many lines it takes.
    tile: usize,
    by_line: bool,
    /// Whether `STEP` divides the depth.
    whole_steps: bool,
}

/// `a b + bias + residual` in one launch, and in `sums` those of the lines of `a`, if it has them in columns.
fn product(
    a: Operand,
    b: Operand,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
    sums: Option<CubeTensor>,
) -> CubeTensor {
    let (client, dtype) = (a.tensor.client.clone(), elem(&a.tensor));
    let out = empty([a.lines, b.lines], &a.tensor);
    let (a_side, b_side) = (a.side(), b.side());
    let units = a.lines.div_ceil(a_side.tile) * b.lines.div_ceil(b_side.tile);
    // Always the same size, since the kernel is compiled anew for another one.
    let dim = CubeDim::new_1d(UNITS);
    let count = calculate_cube_count_elemwise(&client, units, dim);
    let argument = |tensor: CubeTensor| into_contiguous(tensor).into_buffer_arg();
    // SAFETY: the kernel reads and writes within the lines and the depth that the tensors have.
    unsafe {
        product_kernel::launch_unchecked(
            &client,
            count,
            dim,
            a.vector(),
            b.vector(),
            vector_size(b.lines),
            a.tensor.into_buffer_arg(),
            b.tensor.into_buffer_arg(),
            bias.map(argument).into(),
            residual.map(argument).into(),
            out.clone().into_buffer_arg(),
            sums.map(CubeTensor::into_buffer_arg).into(),
            a.lines,
            b.lines,
            a.depth,
            a_side,
            b_side,
            dtype,
        );
    }
    out
}

/// A unit computes a tile of `out [rows, columns]`, which stays in registers over the whole depth.
#[cube(launch_unchecked)]
fn product_kernel<F: Float, A: Size, B: Size, C: Size>(
    a: &[Vector<F, A>],
    b: &[Vector<F, B>],
    bias: ComptimeOption<&[Vector<F, C>]>,
    residual: ComptimeOption<&[Vector<F, C>]>,
    out: &mut [Vector<F, C>],
    sums: ComptimeOption<&mut [F]>,
    rows: usize,
    columns: usize,
    depth: usize,
    #[comptime] a_side: Side,
    #[comptime] b_side: Side,
    #[define(F)] _dtype: ElemType,
) {
    let across = columns.div_ceil(b_side.tile);
    if ABSOLUTE_POS >= across * rows.div_ceil(a_side.tile) {
        terminate!();
    }
    let row = ABSOLUTE_POS / across * a_side.tile;
    let column = ABSOLUTE_POS % across * b_side.tile;

    let groups = comptime!(b_side.tile / 4);
    let tile = zeros(comptime!(a_side.tile * groups));
    let line_sums = zeros(comptime!(a_side.tile / 4));
    let a_starts = starts::<A>(row, rows, depth, a_side);
    let b_starts = starts::<B>(column, columns, depth, b_side);
    for step in 0..depth.div_ceil(STEP) {
        let left = read::<F, A>(a, &a_starts, step, rows, depth, a_side);
        let right = read::<F, B>(b, &b_starts, step, columns, depth, b_side);
        #[unroll]
        for group in 0..groups {
            #[unroll]
            for s in 0..STEP {
                let values = four(&right, group, s, b_side);
                #[unroll]
                for i in 0..a_side.tile {
                    let sum = &tile[comptime!(i * groups + group)];
                    sum.store(fma(Vec4::new(number(&left, i, s, a_side)), values, sum.read()));
                }
            }
        }
        #[comptime]
        if sums.is_some() {
            #[unroll]
            for group in 0..comptime!(a_side.tile / 4) {
                #[unroll]
                for s in 0..STEP {
                    let sum = &line_sums[group];
                    sum.store(sum.read() + four(&left, group, s, a_side));
                }
            }
        }
    }

    // Registers cannot be counted through, and all these writes one by one would take long to compile.
    let width = C::value().comptime();
    let parts = comptime!(b_side.tile / width);
    let mut results = Array::<Vector<f32, C>>::new(comptime!(a_side.tile * parts));
    #[unroll]
    for at in 0..comptime!(a_side.tile * parts) {
        let mut value = Vector::<f32, C>::empty();
        #[unroll]
        for j in 0..width {
            let sum = tile[comptime!((at * width + j) / 4)].read();
            value.insert(j, sum.extract(comptime!((at * width + j) % 4)));
        }
        results[at] = value;
    }
    let across = columns / width;
    let column = column / width;
    for i in 0..min(comptime!(a_side.tile), rows - row) {
        for part in 0..min(parts, across - column) {
            let mut value = results[i * parts + part];
            #[comptime]
            if let ComptimeOption::Some(bias) = &bias {
                value += Vector::cast_from(bias[column + part]);
            }
            let at = (row + i) * across + column + part;
            #[comptime]
            if let ComptimeOption::Some(residual) = &residual {
                value += Vector::cast_from(residual[at]);
            }
            out[at] = Vector::cast_from(value);
        }
    }
    #[comptime]
    if let ComptimeOption::Some(sums) = sums {
        if column == 0 {
            #[unroll]
            for i in 0..a_side.tile {
                if row + i < rows {
                    let sum = line_sums[comptime!(i / 4)].read();
                    sums[row + i] = F::cast_from(sum.extract(comptime!(i % 4)));
                }
            }
        }
    }
}

#[cube]
fn zeros(#[comptime] count: usize) -> Sequence<RuntimeCell<Vec4>> {
    let mut cells = Sequence::new();
    #[unroll]
    for _ in 0..count {
        cells.push(RuntimeCell::new(Vec4::zeroed()));
    }
    cells
}

/// Where a tile's lines begin, in vectors; those beyond the last one where that one does.
#[cube]
fn starts<N: Size>(
    first: usize,
    lines: usize,
    depth: usize,
    #[comptime] side: Side,
) -> Sequence<usize> {
    let width = N::value().comptime();
    let mut starts = Sequence::new();
    if comptime!(side.by_line) {
        #[unroll]
        for i in 0..side.tile {
            starts.push(min(first + i, lines - 1) * (depth / width));
        }
    } else {
        #[unroll]
        for i in 0..comptime!(side.tile / width) {
            starts.push(min(first / width + i, lines / width - 1));
        }
    }
    starts
}

/// A tile's lines over `STEP` of the depth, with zeros beyond it: each line's numbers, or each depth's lines.
#[cube]
fn read<F: Float, N: Size>(
    values: &[Vector<F, N>],
    starts: &Sequence<usize>,
    step: usize,
    lines: usize,
    depth: usize,
    #[comptime] side: Side,
) -> Sequence<Vec4> {
    let width = N::value().comptime();
    let mut block = Sequence::new();
    if comptime!(side.by_line && width == STEP) {
        #[unroll]
        for i in 0..side.tile {
            block.push(Vec4::cast_from(values[starts[i] + step]));
        }
    } else if comptime!(side.by_line) {
        #[unroll]
        for i in 0..side.tile {
            let mut vector = Vec4::empty();
            #[unroll]
            for s in 0..STEP {
                let at = step * STEP + s;
                let value = f32::cast_from(values[starts[i] + min(at, depth - 1)]);
                vector.insert(s, select(at < depth, value, 0f32));
            }
            block.push(vector);
        }
    } else {
        #[unroll]
        for s in 0..STEP {
            let at = step * STEP + s;
            let row = min(at, depth - 1) * (lines / width);
            #[unroll]
            for group in 0..comptime!(side.tile / 4) {
                let mut vector = Vec4::empty();
                #[unroll]
                for part in 0..comptime!(4 / width) {
                    let value = values[row + starts[comptime!(group * 4 / width + part)]];
                    #[unroll]
                    for i in 0..width {
                        vector
                            .insert(comptime!(part * width + i), f32::cast_from(value.extract(i)));
                    }
                }
                if comptime!(!side.whole_steps) {
                    vector = select(at < depth, vector, Vec4::zeroed());
                }
                block.push(vector);
            }
        }
    }
    block
}

/// Step `s` of line `i` in what [`read`] read.
#[cube]
fn number(
    block: &Sequence<Vec4>,
    #[comptime] i: usize,
    #[comptime] s: usize,
    #[comptime] side: Side,
) -> f32 {
    if comptime!(side.by_line) {
        block[i].extract(s)
    } else {
        block[comptime!(s * (side.tile / 4) + i / 4)].extract(i % 4)
    }
}

/// Step `s` of four lines in what [`read`] read.
#[cube]
fn four(
    block: &Sequence<Vec4>,
    #[comptime] group: usize,
    #[comptime] s: usize,
    #[comptime] side: Side,
) -> Vec4 {
    if comptime!(side.by_line) {
        let mut vector = Vec4::empty();
        #[unroll]
        for j in 0..STEP {
            vector.insert(j, number(block, comptime!(group * 4 + j), s, side));
        }
        vector
    } else {
        block[comptime!(s * (side.tile / 4) + group)]
    }
}

/// Adds `bias [O]` and `residual [N, O]` to `y [N, O]`.
fn add(y: &CubeTensor, bias: Option<CubeTensor>, residual: Option<CubeTensor>) {
    let vector = vector_size(y.meta.shape()[1]);
    let width = y.meta.shape()[1] / vector;
    let (count, dim) = spread(&y.client, y.meta.num_elements() / vector);
    let argument = |tensor: CubeTensor| into_contiguous(tensor).into_buffer_arg();
    // SAFETY: the kernel stays within `y`, `residual` is as large and `bias` as wide.
    unsafe {
        add_kernel::launch_unchecked(
            &y.client,
            count,
            dim,
            vector,
            y.clone().into_buffer_arg(),
            bias.map(argument).into(),
            residual.map(argument).into(),
            width,
            elem(y),
        );
    }
}

#[cube(launch_unchecked)]
fn add_kernel<F: Float, N: Size>(
    y: &mut [Vector<F, N>],
    bias: ComptimeOption<&[Vector<F, N>]>,
    residual: ComptimeOption<&[Vector<F, N>]>,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS >= y.len() {
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
