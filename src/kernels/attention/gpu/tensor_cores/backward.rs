//! The backward pass: one kernel for the gradients of queries, one for those of keys and values. See the scalar kernels
//! (`../backward.rs`) for the formulas.

use cubecl::prelude::*;

use super::tiles::{
    BLOCK, Layout, PAIR, PAIRS, PARTS, ROWS, accumulate, block_of_queries, column, lane, own_row,
    own_rows, products, stage, store,
};
use crate::kernels::attention::gpu::rows::zeros;
use crate::kernels::attention::gpu::scores::{
    Documents, Params, document, end_of_document, inside,
};

/// Writes the queries' part of `dqkv [B T, (H + 2 K) D]`, and `delta [B H T]`. A block consists of queries.
#[cube(launch_unchecked)]
pub fn flash_queries<F: Float, N: Size, P: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    out: &[Vector<F, N>],
    log_normalizer: &[f32],
    grad: &[Vector<F, N>],
    delta: &mut [f32],
    dqkv: &mut [Vector<F, P>],
    params: Params,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let packed = comptime!(layout.packed());
    let unpacked = comptime!(layout.unpacked());
    let tokens = params.tokens;
    let several = documents.is_some();

    let head = CUBE_POS_Y as usize % layout.heads;
    let sequence = CUBE_POS_Y as usize / layout.heads * tokens;
    let queries = CUBE_POS_Y as usize * tokens;
    let block = block_of_queries(tokens, params.causal);
    let first = block + own_row();
    let own = sequence * packed + head * width;
    let grads = sequence * unpacked + head * width;
    let keys = sequence * packed + (layout.heads + head / comptime!(layout.group())) * width;
    let values = keys + comptime!(layout.kv_heads * layout.width);

    let mut shared =
        Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(2 * layout.tile()), 16usize);
    stage(qkv, own, block, tokens, &mut shared, 0usize, packed, layout);
    stage(grad, grads, block, tokens, &mut shared, 1usize, unpacked, layout);
    sync_cube();
    let q = own_rows::<F, N, P>(&shared, 0usize, layout);
    let g = own_rows::<F, N, P>(&shared, 1usize, layout);

    // Two units share a row here: those with the pairs of a sum are four.
    let row = UNIT_POS as usize / 2;
    let side = UNIT_POS as usize % 2;
    let at = grads + min(block + row, tokens - 1) * unpacked;
    let mut products_of_row = Vector::<f32, N>::new(0.0);
    for w in range_stepped(side, width, 2usize) {
        let out = Vector::<f32, N>::cast_from(out[at + w]);
        products_of_row += Vector::<f32, N>::cast_from(grad[at + w]) * out;
    }
    let half = products_of_row.vector_sum();
    let sum = half + plane_shuffle_xor(half, 1u32);
    // Before units part: a shuffle needs all of a plane.
    let mut deltas = Array::<f32>::new(ROWS);
    #[unroll]
    for r in 0..ROWS {
        deltas[r] = plane_shuffle(sum, 2 * (lane() as u32 / 4 + comptime!(8 * r as u32)));
    }
    if side == 0 && block + row < tokens {
        delta[queries + block + row] = sum;
    }

    let mut begins = Array::<usize>::new(ROWS);
    let mut normalizers = Array::<f32>::new(ROWS);
    let mut ends = Sequence::<usize>::new();
    #[unroll]
    for r in 0..ROWS {
        let query = min(first + 8 * r, tokens - 1);
        begins[r] = document(&documents, sequence + query);
        normalizers[r] = log_normalizer[queries + query];
        if comptime!(!params.causal) {
            ends.push(end_of_document(&documents, sequence, query, tokens));
        }
    }
    let mut dq = zeros::<P>(comptime!(2 * layout.width));

    let (start, end) = params.keys_of(&documents, sequence, block, BLOCK);
    for base in range_stepped(start, end, BLOCK) {
        sync_cube();
        stage(qkv, keys, base, tokens, &mut shared, 0usize, packed, layout);
        stage(qkv, values, base, tokens, &mut shared, 1usize, packed, layout);
        sync_cube();
        for part in 0..PARTS {
            let scores = products(&q, &shared, 0usize, 16 * part, layout);
            let dweights = products(&g, &shared, 1usize, 16 * part, layout);
            let mut dproducts = Array::<Vector<F, P>>::new(PAIRS);
            #[unroll]
            for pair in 0..PAIRS {
                let r = comptime!(pair % 2);
                let mut both = Vector::<f32, P>::new(0.0);
                #[unroll]
                for c in 0..PAIR {
                    let key = base + 16 * part + column(pair, c);
                    let score = params.score(scores[pair].extract(c));
                    let sees = params.sees(first + 8 * r, key);
                    let sees = inside(sees, key, begins[r], several);
                    let sees = params.before_end(sees, key, &ends, r);
                    let weight = select(sees, (score - normalizers[r]).exp(), 0.0);
                    let query = queries + first + 8 * r;
                    let dweight = params.dropped(dweights[pair].extract(c), query, key);
                    both.insert(c, weight * (dweight - deltas[r]) * params.slope_of_cap(score));
                }
                dproducts[pair] = Vector::cast_from(both);
            }
            accumulate(&dproducts, &shared, 0usize, 16 * part, &mut dq, layout);
        }
    }

    #[unroll]
    for r in 0..ROWS {
        let t = first + 8 * r;
        if t < tokens {
            store(&dq, r, params.scale, dqkv, 4 * (own + t * packed), layout);
        }
    }
}

/// Writes the keys' and values' part of `dqkv [B T, (H + 2 K) D]`. A block consists of keys. `group` is `H / K`: as a constant, it
/// would make the compiler repeat the loop's body for each member.
#[cube(launch_unchecked)]
pub fn flash_keys<F: Float, N: Size, P: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    log_normalizer: &[f32],
    grad: &[Vector<F, N>],
    delta: &[f32],
    dqkv: &mut [Vector<F, P>],
    params: Params,
    group: usize,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let packed = comptime!(layout.packed());
    let unpacked = comptime!(layout.unpacked());
    let tokens = params.tokens;
    let several = documents.is_some();

    let kv_head = CUBE_POS_Y as usize % layout.kv_heads;
    let number = CUBE_POS_Y as usize / layout.kv_heads;
    let sequence = number * tokens;
    let block = CUBE_POS_X as usize * BLOCK;
    let first = block + own_row();
    let own_keys = sequence * packed + (layout.heads + kv_head) * width;
    let own_values = own_keys + comptime!(layout.kv_heads * layout.width);

    let mut shared =
        Shared::<[Vector<F, N>]>::new_aligned_slice(comptime!(2 * layout.tile()), 16usize);
    stage(qkv, own_keys, block, tokens, &mut shared, 0usize, packed, layout);
    stage(qkv, own_values, block, tokens, &mut shared, 1usize, packed, layout);
    sync_cube();
    let k = own_rows::<F, N, P>(&shared, 0usize, layout);
    let v = own_rows::<F, N, P>(&shared, 1usize, layout);

    // A bidirectional key is seen by the queries of its document.
    let mut documents_of_keys = Sequence::<(usize, usize)>::new();
    if comptime!(several && !params.causal) {
        #[unroll]
        for r in 0..ROWS {
            let key = min(first + 8 * r, tokens - 1);
            let begin = document(&documents, sequence + key);
            documents_of_keys.push((begin, end_of_document(&documents, sequence, key, tokens)));
        }
    }
    let mut dk = zeros::<P>(comptime!(2 * layout.width));
    let mut dv = zeros::<P>(comptime!(2 * layout.width));

    let (start, end) = params.queries_of(&documents, sequence, block, BLOCK);
    for member in 0..group {
        let head = kv_head * group + member;
        let to_queries = sequence * packed + head * width;
        let to_grads = sequence * unpacked + head * width;
        let queries = (number * layout.heads + head) * tokens;
        for base in range_stepped(start, end, BLOCK) {
            sync_cube();
            stage(qkv, to_queries, base, tokens, &mut shared, 0usize, packed, layout);
            stage(grad, to_grads, base, tokens, &mut shared, 1usize, unpacked, layout);
            sync_cube();
            for part in 0..PARTS {
                let scores = products(&k, &shared, 0usize, 16 * part, layout);
                let dweights = products(&v, &shared, 1usize, 16 * part, layout);
                let mut weights = Array::<Vector<F, P>>::new(PAIRS);
                let mut dproducts = Array::<Vector<F, P>>::new(PAIRS);
                #[unroll]
                for pair in 0..PAIRS {
                    let r = comptime!(pair % 2);
                    let key = first + 8 * r;
                    let mut kept = Vector::<f32, P>::new(0.0);
                    let mut both = Vector::<f32, P>::new(0.0);
                    #[unroll]
                    for c in 0..PAIR {
                        let place = base + 16 * part + column(pair, c);
                        let t = min(place, tokens - 1);
                        let score = params.score(scores[pair].extract(c));
                        let exists = place < end;
                        let sees = params.sees(t, key);
                        let sees = exists && sees;
                        let sees = if comptime!(params.causal) {
                            inside(sees, key, document(&documents, sequence + t), several)
                        } else if comptime!(several) {
                            let (begin, end) = documents_of_keys[r];
                            sees && t >= begin && t < end
                        } else {
                            sees
                        };
                        let normalizer = log_normalizer[queries + t];
                        let weight = select(sees, (score - normalizer).exp(), 0.0);
                        let dweight = params.dropped(dweights[pair].extract(c), queries + t, key);
                        let slope = params.slope_of_cap(score);
                        both.insert(c, weight * (dweight - delta[queries + t]) * slope);
                        kept.insert(c, params.dropped(weight, queries + t, key));
                    }
                    weights[pair] = Vector::cast_from(kept);
                    dproducts[pair] = Vector::cast_from(both);
                }
                accumulate(&weights, &shared, 1usize, 16 * part, &mut dv, layout);
                accumulate(&dproducts, &shared, 0usize, 16 * part, &mut dk, layout);
            }
        }
    }

    #[unroll]
    for r in 0..ROWS {
        let u = first + 8 * r;
        if u < tokens {
            store(&dk, r, params.scale, dqkv, 4 * (own_keys + u * packed), layout);
            store(&dv, r, 1.0, dqkv, 4 * (own_values + u * packed), layout);
        }
    }
}
