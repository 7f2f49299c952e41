//! Attention of queries to one tile of keys.

use cubecl::prelude::*;

use super::layout::{Layout, Span, Tiles, queries};
use crate::kernels::attention::gpu::scores::Params;

/// The score of a hidden key: a tile of hidden keys only has no weight when tiles are merged.
pub const HIDDEN: f32 = -1e30;

/// A unit computes a tile: for each query, to `sums [B T H, room, D]`, the sum of values weighted by exponentials relative
/// to its largest score, and to `softmax [B T H, room, 2]`, that score and the sum of the exponentials.
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

/// As [`alone`], with the units of a cube together: a key per unit, then a part of the values' columns.
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
    let tile = CUBE_POS_X as usize;
    let pair = CUBE_POS_Y as usize;
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
    // Every unit finds the maximum itself: faster than sharing it.
    let mut tops = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for r in 0..rows {
        tops.push(RuntimeCell::new(HIDDEN));
        for other in 0..keys {
            tops[r].store(max(tops[r].read(), scores[r * keys + other]));
        }
    }

    // Units of the same column take every `groups`-th key.
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
        // Other units may still read the parts of the previous step.
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
