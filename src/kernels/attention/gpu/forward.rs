//! The forward pass.

use cubecl::prelude::*;

use super::rows::{Layout, fetch, load_row, stage, store_row, zeros};
use super::scores::{Documents, Params, document, end_of_document, inside};

/// Keys per step: the sums are rescaled once for all of them.
pub const KEYS: usize = 4;

/// The score of a hidden key, far below every other.
pub const HIDDEN: f32 = -3e38;

/// The maximum before any key is seen, still far above a hidden score.
pub const LOWEST: f32 = -1e30;

/// Writes `out [B T, H D]` and `log_normalizer [B H T]` for `qkv [B T, (H + 2 K) D]`. A block consists of queries.
#[cube(launch_unchecked)]
pub fn forward<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    out: &mut [Vector<F, N>],
    log_normalizer: &mut [f32],
    params: Params,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let rows = comptime!(layout.rows);
    let staged = comptime!(layout.staged);
    let packed = comptime!(layout.packed());
    let tokens = params.tokens;
    let several = documents.is_some();

    let head = CUBE_POS_Y as usize % layout.heads;
    let sequence = CUBE_POS_Y as usize / layout.heads * tokens;
    let block = CUBE_POS_X as usize * comptime!(layout.block());
    let first = block + UNIT_POS as usize * rows;
    let keys = sequence * packed + (layout.heads + head / comptime!(layout.group())) * width;
    let values = keys + comptime!(layout.kv_heads * layout.width);

    let mut q = Array::<Vector<f32, N>>::new(comptime!(rows * width));
    #[unroll]
    for r in 0..rows {
        let row = sequence + min(first + r, tokens - 1);
        load_row(qkv, row * packed + head * width, &mut q, r, width);
    }
    let mut sums = zeros::<N>(comptime!(rows * width));
    let mut begins = Array::<usize>::new(rows);
    let mut maximum = Array::<f32>::new(rows);
    let mut normalizer = Array::<f32>::new(rows);
    #[unroll]
    for r in 0..rows {
        begins[r] = document(&documents, sequence + min(first + r, tokens - 1));
        maximum[r] = LOWEST;
        normalizer[r] = 0.0;
    }

    let mut ends = Sequence::<usize>::new();
    if comptime!(!params.causal) {
        #[unroll]
        for r in 0..rows {
            let query = min(first + r, tokens - 1);
            ends.push(end_of_document(&documents, sequence, query, tokens));
        }
    }

    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(comptime!(layout.shared()));
    let value_slots = comptime!(layout.stage * layout.width);
    let (start, end) = params.keys_of(&documents, sequence, block, comptime!(layout.block()));
    for base in range_stepped(start, end, layout.stage) {
        if staged {
            sync_cube();
            stage(qkv, keys, base, tokens, &mut shared, 0usize, packed, layout);
            stage(qkv, values, base, tokens, &mut shared, 1usize, packed, layout);
            sync_cube();
        }
        for step in range_stepped(0, layout.stage, KEYS) {
            let mut products = zeros::<N>(comptime!(rows * KEYS));
            #[unroll]
            for w in 0..width {
                #[unroll]
                for key in 0..KEYS {
                    let slot = step + key;
                    let at = keys + min(base + slot, tokens - 1) * packed + w;
                    let k = fetch(qkv, at, &shared, slot * width + w, staged);
                    #[unroll]
                    for r in 0..rows {
                        products[r * KEYS + key] += q[r * width + w] * k;
                    }
                }
            }
            let mut weights = Array::<f32>::new(comptime!(rows * KEYS));
            #[unroll]
            for r in 0..rows {
                let mut largest = maximum[r];
                #[unroll]
                for key in 0..KEYS {
                    let score = params.score(products[r * KEYS + key].vector_sum());
                    let place = base + step + key;
                    let sees = inside(params.sees(first + r, place), place, begins[r], several);
                    let sees = params.before_end(sees, place, &ends, r);
                    weights[r * KEYS + key] = select(sees, score, HIDDEN);
                    largest = max(largest, weights[r * KEYS + key]);
                }
                let shrink = (maximum[r] - largest).exp();
                maximum[r] = largest;
                normalizer[r] *= shrink;
                #[unroll]
                for w in 0..width {
                    sums[r * width + w] *= Vector::new(shrink);
                }
                let query = CUBE_POS_Y as usize * tokens + first + r;
                #[unroll]
                for key in 0..KEYS {
                    let weight = (weights[r * KEYS + key] - largest).exp();
                    normalizer[r] += weight;
                    weights[r * KEYS + key] = params.dropped(weight, query, base + step + key);
                }
            }
            #[unroll]
            for w in 0..width {
                #[unroll]
                for key in 0..KEYS {
                    let slot = step + key;
                    let at = values + min(base + slot, tokens - 1) * packed + w;
                    let v = fetch(qkv, at, &shared, value_slots + slot * width + w, staged);
                    #[unroll]
                    for r in 0..rows {
                        sums[r * width + w] += Vector::new(weights[r * KEYS + key]) * v;
                    }
                }
            }
        }
    }

    #[unroll]
    for r in 0..rows {
        let t = first + r;
        if t < tokens {
            let start = (sequence + t) * comptime!(layout.unpacked()) + head * width;
            store_row(&sums, 1.0 / normalizer[r], out, start, r, width);
            log_normalizer[CUBE_POS_Y as usize * tokens + t] = maximum[r] + normalizer[r].ln();
        }
    }
}
