//! The forward pass. See the parent module for the strategy.

use cubecl::prelude::*;

use super::tiles::{
    BLOCK, Layout, PAIR, PAIRS, PARTS, ROWS, accumulate, block_of_queries, column, lane, own_row,
    own_rows, products, stage, store,
};
use crate::kernels::attention::gpu::forward::{HIDDEN, LOWEST};
use crate::kernels::attention::gpu::rows::zeros;
use crate::kernels::attention::gpu::scores::{
    Documents, Params, document, end_of_document, inside,
};

/// Writes `out [B T, H D]` and `log_normalizer [B H T]` for `qkv [B T, (H + 2 K) D]`. A block consists of queries.
#[cube(launch_unchecked)]
pub fn flash_forward<F: Float, N: Size, P: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    out: &mut [Vector<F, P>],
    log_normalizer: &mut [f32],
    params: Params,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let packed = comptime!(layout.packed());
    let tokens = params.tokens;
    let several = documents.is_some();

    let head = CUBE_POS_Y as usize % layout.heads;
    let sequence = CUBE_POS_Y as usize / layout.heads * tokens;
    let queries = CUBE_POS_Y as usize * tokens;
    let block = block_of_queries(tokens, params.causal);
    let first = block + own_row();
    let own = sequence * packed + head * width;
    let keys = sequence * packed + (layout.heads + head / comptime!(layout.group())) * width;
    let values = keys + comptime!(layout.kv_heads * layout.width);

    let mut shared =
        Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(2 * layout.tile()), 16usize);
    stage(qkv, own, block, tokens, &mut shared, 0usize, packed, layout);
    sync_cube();
    let q = own_rows::<F, N, P>(&shared, 0usize, layout);

    let mut begins = Array::<usize>::new(ROWS);
    let mut maximum = Array::<f32>::new(ROWS);
    let mut normalizer = Array::<f32>::new(ROWS);
    let mut ends = Sequence::<usize>::new();
    #[unroll]
    for r in 0..ROWS {
        let query = min(first + 8 * r, tokens - 1);
        begins[r] = document(&documents, sequence + query);
        maximum[r] = LOWEST;
        normalizer[r] = 0.0;
        if comptime!(!params.causal) {
            ends.push(end_of_document(&documents, sequence, query, tokens));
        }
    }
    let mut sums = zeros::<P>(comptime!(2 * layout.width));

    let (start, end) = params.keys_of(&documents, sequence, block, BLOCK);
    for base in range_stepped(start, end, BLOCK) {
        sync_cube();
        stage(qkv, keys, base, tokens, &mut shared, 0usize, packed, layout);
        stage(qkv, values, base, tokens, &mut shared, 1usize, packed, layout);
        sync_cube();

        let mut scores = zeros::<P>(comptime!(4 * PARTS));
        let mut largest = Array::<f32>::new(ROWS);
        largest[0] = maximum[0];
        largest[1] = maximum[1];
        #[unroll]
        for part in 0..PARTS {
            let found = products(&q, &shared, 0usize, 16 * part, layout);
            #[unroll]
            for pair in 0..PAIRS {
                let r = comptime!(pair % 2);
                let mut seen = Vector::<f32, P>::new(HIDDEN);
                #[unroll]
                for c in 0..PAIR {
                    let key = base + 16 * part + column(pair, c);
                    let score = params.score(found[pair].extract(c));
                    let sees = params.sees(first + 8 * r, key);
                    let sees = inside(sees, key, begins[r], several);
                    let sees = params.before_end(sees, key, &ends, r);
                    let score = select(sees, score, HIDDEN);
                    largest[r] = max(largest[r], score);
                    seen.insert(c, score);
                }
                scores[4 * part + pair] = seen;
            }
        }
        #[unroll]
        for r in 0..ROWS {
            // Four units share a row.
            let other = max(largest[r], plane_shuffle_xor(largest[r], 1u32));
            let largest = max(other, plane_shuffle_xor(other, 2u32));
            let shrink = (maximum[r] - largest).exp();
            maximum[r] = largest;
            normalizer[r] *= shrink;
            #[unroll]
            for w in 0..width {
                sums[2 * w + r] *= Vector::new(shrink);
            }
        }
        #[unroll]
        for part in 0..PARTS {
            let mut weights = Array::<Vector<F, P>>::new(PAIRS);
            #[unroll]
            for pair in 0..PAIRS {
                let r = comptime!(pair % 2);
                let mut kept = Vector::<f32, P>::new(0.0);
                #[unroll]
                for c in 0..PAIR {
                    let key = base + 16 * part + column(pair, c);
                    let weight = (scores[4 * part + pair].extract(c) - maximum[r]).exp();
                    normalizer[r] += weight;
                    kept.insert(c, params.dropped(weight, queries + first + 8 * r, key));
                }
                weights[pair] = Vector::cast_from(kept);
            }
            accumulate(&weights, &shared, 1usize, 16 * part, &mut sums, layout);
        }
    }

    // Before units part: a shuffle needs all of a plane.
    let mut totals = Array::<f32>::new(ROWS);
    #[unroll]
    for r in 0..ROWS {
        let half = normalizer[r] + plane_shuffle_xor(normalizer[r], 1u32);
        totals[r] = half + plane_shuffle_xor(half, 2u32);
    }
    #[unroll]
    for r in 0..ROWS {
        let total = totals[r];
        let of_row = lane() % 4;
        let t = first + 8 * r;
        if t < tokens {
            let start = 4 * ((sequence + t) * comptime!(layout.unpacked()) + head * width);
            store(&sums, r, 1.0 / total, out, start, layout);
            if of_row == 0 {
                log_normalizer[queries + t] = maximum[r] + total.ln();
            }
        }
    }
}
