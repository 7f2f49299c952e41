//! Addresses of rows, and how they are fetched.

use cubecl::prelude::*;

/// Compile-time constants of a kernel; letters as in the parent module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// `H`.
    pub heads: usize,
    /// `K`.
    pub kv_heads: usize,
    /// `W`.
    pub width: usize,
    /// `R`.
    pub rows: usize,
    /// `U`.
    pub units: usize,
    /// Rows of the other side that a block takes at a time.
    pub stage: usize,
    /// True if a cube's units fetch those rows together into shared memory.
    pub staged: bool,
}

impl Layout {
    /// Rows of a cube's block.
    pub fn block(&self) -> usize {
        self.units * self.rows
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Row stride of `qkv` in vectors.
    pub fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    /// Row stride of an output in vectors.
    pub fn unpacked(&self) -> usize {
        self.heads * self.width
    }

    /// Vectors of shared memory: two tiles.
    pub fn shared(&self) -> usize {
        if self.staged { 2 * self.stage * self.width } else { 1 }
    }
}

/// Loads a row of `W` vectors to row `index` of `rows`.
#[cube]
pub fn load_row<F: Float, N: Size>(
    from: &[Vector<F, N>],
    start: usize,
    rows: &mut Array<Vector<f32, N>>,
    #[comptime] index: usize,
    #[comptime] width: usize,
) {
    #[unroll]
    for w in 0..width {
        rows[index * width + w] = Vector::cast_from(from[start + w]);
    }
}

/// Stores row `index` of `rows`, multiplied by `factor`.
#[cube]
pub fn store_row<F: Float, N: Size>(
    rows: &Array<Vector<f32, N>>,
    factor: f32,
    to: &mut [Vector<F, N>],
    start: usize,
    #[comptime] index: usize,
    #[comptime] width: usize,
) {
    #[unroll]
    for w in 0..width {
        to[start + w] = Vector::cast_from(rows[index * width + w] * Vector::new(factor));
    }
}

/// `count` zero vectors.
#[cube]
pub fn zeros<N: Size>(#[comptime] count: usize) -> Array<Vector<f32, N>> {
    let mut zeros = Array::<Vector<f32, N>>::new(count);
    #[unroll]
    for i in 0..count {
        zeros[i] = Vector::new(0.0);
    }
    zeros
}

/// Copies, with all units of the cube, the `stage` rows from `first` on to tile number `tile`. Past the last row, that
/// one is repeated.
#[cube]
pub fn stage<F: Float, N: Size>(
    from: &[Vector<F, N>],
    start: usize,
    first: usize,
    tokens: usize,
    shared: &mut Shared<[Vector<f32, N>]>,
    #[comptime] tile: usize,
    #[comptime] stride: usize,
    #[comptime] layout: Layout,
) {
    let width = comptime!(layout.width);
    let count = comptime!(layout.stage * layout.width);
    for i in range_stepped(UNIT_POS as usize, count, comptime!(layout.units)) {
        let row = min(first + i / width, tokens - 1);
        shared[tile * count + i] = Vector::cast_from(from[start + row * stride + i % width]);
    }
}

/// Reads a vector of a row: from shared memory at `slot`, or from `from` at `position`.
#[cube]
pub fn fetch<F: Float, N: Size>(
    from: &[Vector<F, N>],
    position: usize,
    shared: &Shared<[Vector<f32, N>]>,
    slot: usize,
    #[comptime] staged: bool,
) -> Vector<f32, N> {
    if comptime!(staged) { shared[slot] } else { Vector::cast_from(from[position]) }
}
