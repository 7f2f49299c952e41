//! Access of a unit to the operands of a product.

use cubecl::prelude::*;

/// Depth that a unit processes at a time: a vector.
pub(super) const STEP: usize = 4;

pub(super) type Vec4 = Vector<f32, Const<STEP>>;

/// Access pattern of a unit for an [`Operand`](super::product::Operand).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Side {
    /// Lines of the tile.
    pub(super) tile: usize,
    /// Lines that are stored at a time if they are columns of the result.
    pub(super) width: usize,
    pub(super) by_line: bool,
    /// True if the depth is a multiple of `STEP`.
    pub(super) whole_steps: bool,
}

/// The lines of a tile from `first` on.
///
/// Beyond the last line, the vector at the end is taken again: it yields the same numbers in the same place, without a
/// branch.
#[cube]
pub(super) fn lines(first: usize, lines: usize, #[comptime] side: Side) -> Sequence<usize> {
    let mut tile = Sequence::new();
    #[unroll]
    for i in 0..side.tile {
        let vector = comptime!(i / side.width * side.width);
        tile.push(min(first + vector, lines - side.width) + comptime!(i % side.width));
    }
    tile
}

/// Start of each line, in vectors.
#[cube]
pub(super) fn starts<N: Size>(
    lines: &Sequence<usize>,
    depth: usize,
    #[comptime] side: Side,
) -> Sequence<usize> {
    let width = N::value().comptime();
    let mut starts = Sequence::new();
    if comptime!(side.by_line) {
        #[unroll]
        for i in 0..side.tile {
            starts.push(lines[i] * (depth / width));
        }
    } else {
        #[unroll]
        for i in 0..comptime!(side.tile / width) {
            starts.push(lines[comptime!(i * width)] / width);
        }
    }
    starts
}

/// Reads a tile's lines over `STEP` of the depth, with zeros beyond it: each line's numbers, or each depth's lines.
#[cube]
pub(super) fn read<F: Float, N: Size>(
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
                let mut vector = across_lines::<F, N>(values, row, starts, group);
                if comptime!(!side.whole_steps) {
                    vector = select(at < depth, vector, Vec4::zeroed());
                }
                block.push(vector);
            }
        }
    }
    block
}

/// Reads the numbers of four lines in the row that begins at `row`.
#[cube]
pub(super) fn across_lines<F: Float, N: Size>(
    values: &[Vector<F, N>],
    row: usize,
    starts: &Sequence<usize>,
    #[comptime] group: usize,
) -> Vec4 {
    let width = N::value().comptime();
    let mut vector = Vec4::empty();
    #[unroll]
    for part in 0..comptime!(4 / width) {
        let value = values[row + starts[comptime!(group * 4 / width + part)]];
        #[unroll]
        for i in 0..width {
            vector.insert(comptime!(part * width + i), f32::cast_from(value.extract(i)));
        }
    }
    vector
}

/// Step `s` of line `i` in the result of [`read`].
#[cube]
pub(super) fn number(
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

/// Step `s` of four lines in the result of [`read`].
#[cube]
pub(super) fn four(
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
