//! Where rows are, and how they are fetched.

use cubecl::prelude::*;

/// What a kernel is compiled for.
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
    /// Rows that a block walks over at a time.
    pub stage: usize,
    /// Whether a cube's units share those rows.
    pub staged: bool,
}

impl Layout {
    /// Rows that a cube owns.
    pub fn block(&self) -> usize {
        self.units * self.rows
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Vectors from a token's head in `qkv` to the next token's.
    pub fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    /// The same in an output.
    pub fn unpacked(&self) -> usize {
        self.heads * self.width
    }

    /// Vectors of shared memory for two tiles.
    pub fn shared(&self) -> usize {
        if self.staged { 2 * self.stage * self.width } else { 1 }
    }
}

/// Copies a row of `W` vectors to `row`, which is number `index` of `rows`.
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

/// Writes `factor` times row `index` of `rows`.
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

/// `count` zeros.
#[cube]
pub fn zeros<N: Size>(#[comptime] count: usize) -> Array<Vector<f32, N>> {
    let mut zeros = Array::<Vector<f32, N>>::new(count);
    #[unroll]
    for i in 0..count {
        zeros[i] = Vector::new(0.0);
    }
    zeros
}

/// A cube's units together copy the `stage` rows from `first` on to tile number `tile`; past the last row,
/// that one again.
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

/// One vector of a row: from shared memory at `slot`, or from `from` at `position`.
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
