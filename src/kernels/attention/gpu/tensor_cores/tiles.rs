//! Tiles of 16-bit numbers in shared memory, and products of 16 x 16 by 16 x 8 numbers on tensor cores.
//!
//! The 32 units of a plane (a warp) hold such matrices together. Which numbers a unit has is fixed (PTX ISA, "Matrix
//! Fragments for mma.m16n8k16"): of a left factor four pairs, of a right factor two, of a sum two. With `g = unit / 4`
//! and `t = unit % 4`, the pairs of a sum are columns `2 t` and `2 t + 1` of rows `g` and `g + 8`. Two sums side by side
//! have the order of a left factor, so that one product can become a factor of the next without leaving the registers.

use cubecl::cmma::{MatrixIdent, MmaDefinition};
use cubecl::prelude::*;

use crate::kernels::attention::gpu::rows::zeros;

/// Units of a plane.
const PLANE: usize = 32;
/// Planes of a cube.
const PLANES: usize = 4;
/// Units of a cube.
pub const UNITS: usize = PLANES * PLANE;
/// Rows of a cube's block, 16 for each plane, and rows of a tile.
pub const BLOCK: usize = PLANES * 16;
// Bounds of loops have names, since cubecl cannot infer the type of a bare number.
/// Rows of a block of which a unit holds sums.
pub const ROWS: usize = 2;
/// Numbers of a pair.
pub const PAIR: usize = 2;
/// Pairs of a left factor, and of 16 x 16 sums.
pub const PAIRS: usize = 4;
/// Parts of 16 rows of a tile.
pub const PARTS: usize = BLOCK / 16;

/// Compile-time constants of a kernel; letters as in the parent modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// `H`.
    pub heads: usize,
    /// `K`.
    pub kv_heads: usize,
    /// Vectors of eight numbers in a head, `D / 8`.
    pub width: usize,
}

impl Layout {
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

    /// Row stride of a tile in vectors of 16 bytes. It is odd, so that eight rows begin in different banks of shared memory.
    fn stride(&self) -> usize {
        self.width + 1
    }

    /// Vectors of a tile.
    pub fn tile(&self) -> usize {
        BLOCK * self.stride()
    }
}

/// Number of this unit in its plane.
#[cube]
pub fn lane() -> usize {
    UNIT_POS as usize % PLANE
}

/// The first of the two rows of a block of which this unit holds sums. The other one is eight rows below.
#[cube]
pub fn own_row() -> usize {
    UNIT_POS as usize / PLANE * 16 + lane() / 4
}

/// The first row of this cube's block of queries. Of causal blocks the last, which see most keys, begin first.
#[cube]
pub fn block_of_queries(tokens: usize, #[comptime] causal: bool) -> usize {
    let number = CUBE_POS_X as usize;
    let number = if comptime!(causal) { (tokens - 1) / BLOCK - number } else { number };
    number * BLOCK
}

/// Column of number `c` of pair `pair` of [`products`].
#[cube]
pub fn column(#[comptime] pair: usize, #[comptime] c: usize) -> usize {
    lane() % 4 * 2 + comptime!(pair / 2 * 8 + c)
}

/// Copies, with all units of the cube, the rows from `first` on to tile number `tile`. Past the last row, that one is
/// repeated. `stride` is the row stride of `from`.
#[cube]
pub fn stage<F: Float, N: Size>(
    from: &[Vector<F, N>],
    start: usize,
    first: usize,
    tokens: usize,
    shared: &mut Shared<[Vector<F, N>]>,
    #[comptime] tile: usize,
    #[comptime] stride: usize,
    #[comptime] layout: Layout,
) {
    let width = comptime!(layout.width);
    let count = comptime!(BLOCK * layout.width / UNITS);
    // All are asked for before the first is stored, so that the unit waits once.
    let mut found = Array::<Vector<F, N>>::new(count);
    #[unroll]
    for j in 0..count {
        let i = UNIT_POS as usize + comptime!(j * UNITS);
        found[j] = from[start + min(first + i / width, tokens - 1) * stride + i % width];
    }
    #[unroll]
    for j in 0..count {
        let i = UNIT_POS as usize + comptime!(j * UNITS);
        let at = comptime!(tile * layout.tile()) + i / width * comptime!(layout.stride());
        shared[at + i % width] = found[j];
    }
}

/// Returns four matrices of 8 x 8 numbers, of which each unit names a row: unit `l` that of row `l % 8` of matrix `l / 8`.
/// A unit receives two neighbours of a row of each, or of a column if it is to `transpose` them.
#[cube]
fn load<F: Float, N: Size, P: Size>(
    shared: &Shared<[Vector<F, N>]>,
    at: usize,
    #[comptime] transpose: bool,
) -> Array<Vector<F, P>> {
    let mma = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    mma.load_matrix::<Vector<F, N>, P>(&shared[at..at + 1], MatrixIdent::A, 4usize, transpose)
}

/// Returns the plane's 16 rows of tile number `tile` as left factors, four pairs for each 16 columns.
#[cube]
pub fn own_rows<F: Float, N: Size, P: Size>(
    shared: &Shared<[Vector<F, N>]>,
    #[comptime] tile: usize,
    #[comptime] layout: Layout,
) -> Array<Vector<F, P>> {
    let mut rows = Array::<Vector<F, P>>::new(comptime!(2 * layout.width));
    let row = UNIT_POS as usize / PLANE * 16 + lane() % 16;
    let start = comptime!(tile * layout.tile()) + row * comptime!(layout.stride()) + lane() / 16;
    #[unroll]
    for step in 0..comptime!(layout.width / 2) {
        let found = load::<F, N, P>(shared, start + 2 * step, false);
        #[unroll]
        for pair in 0..PAIRS {
            rows[4 * step + pair] = found[pair];
        }
    }
    rows
}

/// Adds to 16 x 8 sums, pairs `to` and `to + 1` of `sums`, the product of `left` and the right factor in pairs `from` and
/// `from + 1` of `right`.
#[cube]
fn multiply<F: Float, P: Size>(
    left: &Array<Vector<F, P>>,
    right: &Array<Vector<F, P>>,
    #[comptime] from: usize,
    sums: &mut Array<Vector<f32, P>>,
    #[comptime] to: usize,
) {
    let mma = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    let mut factor = Array::<Vector<F, P>>::new(2usize);
    let mut sum = Array::<Vector<f32, P>>::new(2usize);
    #[unroll]
    for pair in 0..PAIR {
        factor[pair] = right[from + pair];
        sum[pair] = sums[to + pair];
    }
    let sum = mma.execute(left, &factor, &sum);
    #[unroll]
    for pair in 0..PAIR {
        sums[to + pair] = sum[pair];
    }
}

/// Returns the products of the plane's `own` rows with 16 rows of tile number `tile`, those from `row` on: 16 x 16 numbers
/// in four pairs.
#[cube]
pub fn products<F: Float, N: Size, P: Size>(
    own: &Array<Vector<F, P>>,
    shared: &Shared<[Vector<F, N>]>,
    #[comptime] tile: usize,
    row: usize,
    #[comptime] layout: Layout,
) -> Array<Vector<f32, P>> {
    let mut sums = zeros::<P>(PAIRS);
    let row = row + lane() / 16 * 8 + lane() % 8;
    let start = comptime!(tile * layout.tile()) + row * comptime!(layout.stride()) + lane() / 8 % 2;
    #[unroll]
    for step in 0..comptime!(layout.width / 2) {
        let mut left = Array::<Vector<F, P>>::new(PAIRS);
        #[unroll]
        for pair in 0..PAIRS {
            left[pair] = own[4 * step + pair];
        }
        let right = load::<F, N, P>(shared, start + 2 * step, false);
        multiply(&left, &right, 0usize, &mut sums, 0usize);
        multiply(&left, &right, 2usize, &mut sums, 2usize);
    }
    sums
}

/// Adds to `sums`, 16 x D numbers, the product of the 16 x 16 `weights`, in the pairs of [`products`], and 16 rows of tile
/// number `tile`, those from `row` on.
#[cube]
pub fn accumulate<F: Float, N: Size, P: Size>(
    weights: &Array<Vector<F, P>>,
    shared: &Shared<[Vector<F, N>]>,
    #[comptime] tile: usize,
    row: usize,
    sums: &mut Array<Vector<f32, P>>,
    #[comptime] layout: Layout,
) {
    let row = row + lane() % 16;
    let start = comptime!(tile * layout.tile()) + row * comptime!(layout.stride()) + lane() / 16;
    #[unroll]
    for step in 0..comptime!(layout.width / 2) {
        let right = load::<F, N, P>(shared, start + 2 * step, true);
        multiply(weights, &right, 0usize, sums, comptime!(4 * step));
        multiply(weights, &right, 2usize, sums, comptime!(4 * step + 2));
    }
}

/// Writes one of this unit's two rows of `sums`, 16 x D numbers multiplied by `factor`, to `to` from pair `start` on.
#[cube]
pub fn store<F: Float, P: Size>(
    sums: &Array<Vector<f32, P>>,
    #[comptime] r: usize,
    factor: f32,
    to: &mut [Vector<F, P>],
    start: usize,
    #[comptime] layout: Layout,
) {
    #[unroll]
    for w in 0..layout.width {
        to[start + 4 * w + lane() % 4] = Vector::cast_from(sums[2 * w + r] * Vector::new(factor));
    }
}
