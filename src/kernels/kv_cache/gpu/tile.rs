//! What queries gather from one tile of keys.

use cubecl::prelude::*;

use super::super::Place;
use crate::kernels::attention::gpu::scores::Params;
use crate::kernels::gpu::is_serial;

/// The score of a key that is not seen: of a tile without any other, nothing is left when tiles are merged.
pub const HIDDEN: f32 = -1e30;

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// `H`.
    pub heads: usize,
    /// `K`.
    pub kv_heads: usize,
    /// Vectors in a row of `D` numbers.
    pub width: usize,
    /// Queries served at once: tokens times the heads that share a key head.
    pub rows: usize,
    /// Keys in a tile.
    pub keys: usize,
    /// Whether the units of a cube share a tile, a key each.
    pub shared: bool,
}

impl Layout {
    /// For rows moved as vectors of `vector` numbers.
    pub fn new(place: Place, vector: usize) -> Self {
        // On a software adapter, what fits registers and makes up for reading; elsewhere what fits the 16 KiB
        // that WebGPU lets a cube share.
        let (most_rows, keys) = if is_serial() { (4, 16) } else { (8, 64) };
        Self {
            heads: place.heads,
            kv_heads: place.kv_heads,
            width: place.dim / vector,
            rows: (place.group() * place.tokens).next_power_of_two().min(most_rows),
            keys,
            shared: !is_serial(),
        }
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Vectors in a row of `qkv`.
    pub fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    /// Vectors of a row that the units of a cube take at once.
    pub fn columns(&self) -> usize {
        self.width.min(self.keys)
    }
}

/// What is read of a cache `[2, B, K, S, D]`.
#[derive(CubeType, CubeLaunch)]
pub struct Span {
    /// `B`.
    pub batch: usize,
    /// `S`.
    pub capacity: usize,
    /// Position of the first new token.
    pub start: usize,
}

/// Which tiles there are.
#[derive(CubeType, CubeLaunch)]
pub struct Tiles {
    /// The first key that any query sees.
    first: usize,
    count: usize,
    /// How many there is room for in what the kernels leave.
    room: usize,
}

#[cube]
impl Span {
    /// Where the keys (part 0) or values (part 1) of a head of a sequence begin.
    pub fn head(&self, part: usize, pair: usize, #[comptime] layout: Layout) -> usize {
        let pairs = self.batch * layout.kv_heads;
        (part * pairs + pair) * self.capacity * layout.width
    }
}

/// Queries that share a key head: where they are in `qkv`, what they are called in the results, and their
/// positions.
#[derive(CubeType)]
struct Queries {
    from: Sequence<usize>,
    rows: Sequence<usize>,
    positions: Sequence<usize>,
}

/// The queries of a chunk. Past the last one, that one again: it comes to the same numbers in the same place.
#[cube]
fn queries(
    pair: usize,
    chunk: usize,
    tokens: usize,
    span: &Span,
    tiles: &Tiles,
    #[comptime] layout: Layout,
) -> Queries {
    let group = comptime!(layout.group());
    let (sequence, kv_head) = (pair / layout.kv_heads, pair % layout.kv_heads);
    let mut from = Sequence::new();
    let mut rows = Sequence::new();
    let mut positions = Sequence::new();
    #[unroll]
    for r in 0..layout.rows {
        let i = min(chunk * layout.rows + r, tokens * group - 1);
        let token = sequence * tokens + i / group;
        let head = kv_head * group + i % group;
        from.push(token * comptime!(layout.packed()) + head * layout.width);
        rows.push((token * layout.heads + head) * tiles.room);
        positions.push(span.start + i / group);
    }
    Queries { from, rows, positions }
}

/// A unit computes a tile: for each query the values' sum `sums [B T H, room, D]`, weighted by exponentials
/// relative to its largest score, and in `softmax [B T H, room, 2]` that score and the exponentials' sum.
#[cube(launch_unchecked)]
pub fn alone<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    cache: &[Vector<F, N>],
    sums: &mut [Vector<f32, N>],
    softmax: &mut [f32],
    params: Params,
    span: Span,
    tiles: Tiles,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let (rows, keys, width) = comptime!((layout.rows, layout.keys, layout.width));
    let chunks = (params.tokens * comptime!(layout.group())).div_ceil(rows);
    let pairs = span.batch * layout.kv_heads;
    if ABSOLUTE_POS >= tiles.count * chunks * pairs {
        terminate!();
    }
    let tile = ABSOLUTE_POS % tiles.count;
    let rest = ABSOLUTE_POS / tiles.count;
    let (pair, chunk) = (rest / chunks, rest % chunks);
    let queries = queries(pair, chunk, params.tokens, &span, &tiles, layout);
    let first = tiles.first + tile * keys;
    let last = span.start + params.tokens - 1;
    let key_head = span.head(0usize.runtime(), pair, layout);
    let value_head = span.head(1usize.runtime(), pair, layout);

    let mut products = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    let mut weights = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(rows * keys) {
        products.push(RuntimeCell::new(Vector::new(0f32)));
        weights.push(RuntimeCell::new(0f32));
    }
    for w in 0..width {
        let mut q = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for r in 0..rows {
            q.push(Vector::cast_from(qkv[queries.from[r] + w]));
        }
        #[unroll]
        for key in 0..keys {
            let k =
                Vector::<f32, N>::cast_from(cache[key_head + min(first + key, last) * width + w]);
            #[unroll]
            for r in 0..rows {
                let product = &products[comptime!(r * keys + key)];
                product.store(fma(q[r], k, product.read()));
            }
        }
    }
    #[unroll]
    for r in 0..rows {
        let mut top = HIDDEN.runtime();
        #[unroll]
        for key in 0..keys {
            let i = comptime!(r * keys + key);
            let score = params.score(products[i].read().vector_sum());
            let score = select(params.sees(queries.positions[r], first + key), score, HIDDEN);
            weights[i].store(score);
            top = max(top, score);
        }
        let mut total = 0f32;
        #[unroll]
        for key in 0..keys {
            let weight = &weights[comptime!(r * keys + key)];
            weight.store((weight.read() - top).exp());
            total += weight.read();
        }
        let at = queries.rows[r] + tile;
        softmax[at * 2] = top;
        softmax[at * 2 + 1] = total;
    }
    for w in 0..width {
        let mut sum = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
        #[unroll]
        for _ in 0..rows {
            sum.push(RuntimeCell::new(Vector::new(0f32)));
        }
        #[unroll]
        for key in 0..keys {
            let at = value_head + min(first + key, last) * width + w;
            let v = Vector::<f32, N>::cast_from(cache[at]);
            #[unroll]
            for r in 0..rows {
                let weight = Vector::new(weights[comptime!(r * keys + key)].read());
                sum[r].store(fma(weight, v, sum[r].read()));
            }
        }
        #[unroll]
        for r in 0..rows {
            sums[(queries.rows[r] + tile) * width + w] = sum[r].read();
        }
    }
}

/// [`alone`], but by the units of a cube together: a key each, then a part of the values' columns.
#[cube(launch_unchecked)]
pub fn together<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    cache: &[Vector<F, N>],
    sums: &mut [Vector<f32, N>],
    softmax: &mut [f32],
    params: Params,
    span: Span,
    tiles: Tiles,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let (rows, keys, width) = comptime!((layout.rows, layout.keys, layout.width));
    let unit = UNIT_POS as usize;
    let (tile, pair) = (CUBE_POS_X as usize, CUBE_POS_Y as usize);
    let queries = queries(pair, CUBE_POS_Z as usize, params.tokens, &span, &tiles, layout);
    let first = tiles.first + tile * keys;
    let last = span.start + params.tokens - 1;

    let key = first + unit;
    let key_row = span.head(0usize.runtime(), pair, layout) + min(key, last) * width;
    let mut products = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..rows {
        products.push(RuntimeCell::new(Vector::new(0f32)));
    }
    for w in 0..width {
        let k = Vector::<f32, N>::cast_from(cache[key_row + w]);
        #[unroll]
        for r in 0..rows {
            let q = Vector::cast_from(qkv[queries.from[r] + w]);
            products[r].store(fma(q, k, products[r].read()));
        }
    }
    let mut scores = Shared::<[f32]>::new_slice(comptime!(rows * keys));
    #[unroll]
    for r in 0..rows {
        let score = params.score(products[r].read().vector_sum());
        scores[r * keys + unit] = select(params.sees(queries.positions[r], key), score, HIDDEN);
    }
    sync_cube();
    // Every unit looks for itself: that takes less time than telling each other.
    let mut tops = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for r in 0..rows {
        tops.push(RuntimeCell::new(HIDDEN));
        for other in 0..keys {
            tops[r].store(max(tops[r].read(), scores[r * keys + other]));
        }
    }

    // Units with the same column have every so many keys of it.
    let columns = comptime!(layout.columns());
    let groups = comptime!(keys / columns);
    let (group, offset) = (unit / columns, unit % columns);
    let values = span.head(1usize.runtime(), pair, layout);
    let mut parts = Shared::<[Vector<f32, N>]>::new_slice(comptime!(rows * keys));
    let mut totals = Shared::<[f32]>::new_slice(comptime!(rows * keys));
    for step in 0..comptime!(width.div_ceil(columns)) {
        let column = step * columns + offset;
        let read = values + min(column, width - 1);
        let mut sum = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
        let mut total = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..rows {
            sum.push(RuntimeCell::new(Vector::new(0f32)));
            total.push(RuntimeCell::new(0f32));
        }
        for key in range_stepped(group, keys, groups) {
            let v = Vector::<f32, N>::cast_from(cache[read + min(first + key, last) * width]);
            #[unroll]
            for r in 0..rows {
                let weight = (scores[r * keys + key] - tops[r].read()).exp();
                sum[r].store(fma(Vector::new(weight), v, sum[r].read()));
                total[r].store(total[r].read() + weight);
            }
        }
        // The parts of an earlier step may still be read.
        sync_cube();
        #[unroll]
        for r in 0..rows {
            parts[r * keys + unit] = sum[r].read();
            totals[r * keys + unit] = total[r].read();
        }
        sync_cube();
        if group == 0 && column < width {
            #[unroll]
            for r in 0..rows {
                let mut whole = parts[r * keys + offset];
                let mut total = totals[r * keys + offset];
                for other in 1..groups {
                    let at = r * keys + other * columns + offset;
                    whole += parts[at];
                    total += totals[at];
                }
                let at = queries.rows[r] + tile;
                sums[at * width + column] = whole;
                if column == 0 {
                    softmax[at * 2] = tops[r].read();
                    softmax[at * 2 + 1] = total;
                }
            }
        }
    }
}
