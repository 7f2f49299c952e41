//! Products on a software adapter: no shared memory, large tiles in registers.

use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::tile::{STEP, Side, Vec4, across_lines, four, lines, number, read, starts};
use crate::kernels::gpu::{dims, elem, empty, input, output, vector_size};

/// Rows and columns of the result that one unit computes at most.
///
/// A software adapter spends tens of instructions on each number it reads, one lane after another, and few on each
/// multiplication, so a number must be used many times. A larger tile gains little and takes seconds to compile.
const TILE: usize = 16;

/// Units of a cube: as many as a software adapter runs at once; more would leave threads idle.
const UNITS: u32 = 8;

/// One operand of a product: `lines` rows or columns of the result, each a sum over `depth`.
pub(super) struct Operand {
    tensor: CubeTensor,
    lines: usize,
    depth: usize,
    /// True if the numbers of a line are adjacent in memory; otherwise, those at the same depth are.
    by_line: bool,
}

impl Operand {
    /// Creates an operand from `[lines, depth]`.
    pub(super) fn rows(tensor: CubeTensor) -> Self {
        let [lines, depth] = dims(&tensor);
        Self { tensor, lines, depth, by_line: true }
    }

    /// Creates an operand from `[depth, lines]`.
    pub(super) fn columns(tensor: CubeTensor) -> Self {
        let [depth, lines] = dims(&tensor);
        Self { tensor, lines, depth, by_line: false }
    }

    /// Numbers to read at a time.
    fn vector(&self) -> usize {
        vector_size(if self.by_line { self.depth } else { self.lines })
    }

    /// Returns the access pattern of a unit, which reads at least `least` lines at once.
    fn side(&self, least: usize) -> Side {
        Side {
            tile: self.lines.next_power_of_two().clamp(least, TILE),
            width: vector_size(self.lines),
            by_line: self.by_line,
            whole_steps: self.depth.is_multiple_of(STEP),
        }
    }
}

/// Computes `a b + bias + residual` in one launch, and in `sums` the sums of the lines of `a`, which then are columns.
pub(super) fn product(
    a: Operand,
    b: Operand,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
    sums: Option<CubeTensor>,
) -> CubeTensor {
    let client = a.tensor.client.clone();
    let dtype = elem(&a.tensor);
    let out = empty([a.lines, b.lines], &a.tensor);
    // Lines of `b`, and lines that are columns, are taken four at a time.
    let (a_side, b_side) = (a.side(if a.by_line { 1 } else { 4 }), b.side(4));
    let units = a.lines.div_ceil(a_side.tile) * b.lines.div_ceil(b_side.tile);
    // A constant, since the kernel is compiled again for every size.
    let dim = CubeDim::new_1d(UNITS);
    let count = calculate_cube_count_elemwise(&client, units, dim);
    // SAFETY: the kernel reads and writes within the lines and the depth that the tensors have.
    unsafe {
        product_kernel::launch_unchecked(
            &client,
            count,
            dim,
            a.vector(),
            b.vector(),
            vector_size(b.lines),
            input(a.tensor),
            input(b.tensor),
            bias.map(input).into(),
            residual.map(input).into(),
            output(&out),
            sums.as_ref().map(output).into(),
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

/// Each unit computes a tile of `out [rows, columns]`, which stays in registers over the whole depth.
#[cube(launch_unchecked)]
#[allow(clippy::collapsible_if, reason = "what is known at compile time stands alone")]
fn product_kernel<F: Float, P: Size, Q: Size, W: Size>(
    a: &[Vector<F, P>],
    b: &[Vector<F, Q>],
    bias: ComptimeOption<&[Vector<F, W>]>,
    residual: ComptimeOption<&[Vector<F, W>]>,
    out: &mut [Vector<F, W>],
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
    let a_lines = lines(row, rows, a_side);
    let b_lines = lines(column, columns, b_side);
    let a_starts = starts::<P>(&a_lines, depth, a_side);
    let b_starts = starts::<Q>(&b_lines, depth, b_side);
    let out_starts = starts::<W>(&b_lines, columns, comptime!(Side { by_line: false, ..b_side }));

    let groups = comptime!(b_side.tile / 4);
    let mut biases = Sequence::<Vec4>::new();
    #[unroll]
    for group in 0..groups {
        let values = #[comptime]
        match bias {
            ComptimeOption::Some(bias) => {
                across_lines::<F, W>(bias, 0usize.runtime(), &out_starts, group)
            }
            ComptimeOption::None => Vec4::zeroed(),
        };
        biases.push(values);
    }
    let mut tile = Sequence::<RuntimeCell<Vec4>>::new();
    #[unroll]
    for _ in 0..a_side.tile {
        #[unroll]
        for group in 0..groups {
            tile.push(RuntimeCell::new(biases[group]));
        }
    }
    let mut line_sums = Sequence::<RuntimeCell<Vec4>>::new();
    #[unroll]
    for _ in 0..comptime!(a_side.tile / 4) {
        line_sums.push(RuntimeCell::new(Vec4::zeroed()));
    }
    for step in 0..depth.div_ceil(STEP) {
        let left = read::<F, P>(a, &a_starts, step, rows, depth, a_side);
        let right = read::<F, Q>(b, &b_starts, step, columns, depth, b_side);
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

    let width = W::value().comptime();
    let across = columns / width;
    #[unroll]
    for i in 0..a_side.tile {
        #[unroll]
        for part in 0..comptime!(b_side.tile / width) {
            let mut value = Vector::<f32, W>::empty();
            #[unroll]
            for j in 0..width {
                let from = comptime!(part * width + j);
                let sum = tile[comptime!(i * groups + from / 4)].read();
                value.insert(j, sum.extract(comptime!(from % 4)));
            }
            out[a_lines[i] * across + out_starts[part]] = Vector::cast_from(value);
        }
    }
    // After the store: registers cannot be looped over, and unrolled, this takes seconds to compile.
    #[comptime]
    if let ComptimeOption::Some(residual) = residual {
        for i in row..min(row + a_side.tile, rows) {
            let start = i * across + column / width;
            for at in start..min(start + comptime!(b_side.tile / width), (i + 1) * across) {
                let sum = Vector::<f32, W>::cast_from(out[at]) + Vector::cast_from(residual[at]);
                out[at] = Vector::cast_from(sum);
            }
        }
    }
    #[comptime]
    if let ComptimeOption::Some(sums) = sums {
        if column == 0 {
            #[unroll]
            for i in 0..a_side.tile {
                let sum = line_sums[comptime!(i / 4)].read();
                sums[a_lines[i]] = F::cast_from(sum.extract(comptime!(i % 4)));
            }
        }
    }
}
