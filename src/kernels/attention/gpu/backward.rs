//! The backward pass: one kernel for the gradients of queries, one for those of keys and values.
//!
//! Both compute the weights again, `w = exp(score - log_normalizer)`. With `g` the gradient of a query's output and
//! `delta = g · out`, the gradient of the score of a key with value `v` is `w (g · v - delta)`.

use cubecl::prelude::*;

use super::rows::{Layout, fetch, load_row, stage, store_row, zeros};
use super::scores::{Documents, Params, document, end_of_document, inside};

/// Writes the queries' part of `dqkv [B T, (H + 2 K) D]`, and `delta [B H T]`. A block consists of queries.
#[cube(launch_unchecked)]
pub fn queries<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    out: &[Vector<F, N>],
    log_normalizer: &[f32],
    grad: &[Vector<F, N>],
    delta: &mut [f32],
    dqkv: &mut [Vector<F, N>],
    params: Params,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let rows = comptime!(layout.rows);
    let staged = comptime!(layout.staged);
    let packed = comptime!(layout.packed());
    let unpacked = comptime!(layout.unpacked());
    let tokens = params.tokens;
    let several = documents.is_some();

    let head = CUBE_POS_Y as usize % layout.heads;
    let sequence = CUBE_POS_Y as usize / layout.heads * tokens;
    let block = CUBE_POS_X as usize * comptime!(layout.block());
    let first = block + UNIT_POS as usize * rows;
    let queries = CUBE_POS_Y as usize * tokens;
    let keys = sequence * packed + (layout.heads + head / comptime!(layout.group())) * width;
    let values = keys + comptime!(layout.kv_heads * layout.width);

    let mut q = Array::<Vector<f32, N>>::new(comptime!(rows * width));
    let mut g = Array::<Vector<f32, N>>::new(comptime!(rows * width));
    let mut normalizers = Array::<f32>::new(rows);
    let mut deltas = Array::<f32>::new(rows);
    let mut begins = Array::<usize>::new(rows);
    #[unroll]
    for r in 0..rows {
        let t = min(first + r, tokens - 1);
        let start = (sequence + t) * unpacked + head * width;
        load_row(qkv, (sequence + t) * packed + head * width, &mut q, r, width);
        load_row(grad, start, &mut g, r, width);
        let mut products = Vector::<f32, N>::new(0.0);
        #[unroll]
        for w in 0..width {
            products += g[r * width + w] * Vector::cast_from(out[start + w]);
        }
        normalizers[r] = log_normalizer[queries + t];
        begins[r] = document(&documents, sequence + t);
        deltas[r] = products.vector_sum();
        if first + r < tokens {
            delta[queries + t] = deltas[r];
        }
    }
    let mut ends = Sequence::<usize>::new();
    if comptime!(!params.causal) {
        #[unroll]
        for r in 0..rows {
            let query = min(first + r, tokens - 1);
            ends.push(end_of_document(&documents, sequence, query, tokens));
        }
    }
    let mut dq = zeros::<N>(comptime!(rows * width));

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
        for slot in 0..layout.stage {
            let offset = min(base + slot, tokens - 1) * packed;
            let mut k = Array::<Vector<f32, N>>::new(width);
            let mut scores = zeros::<N>(rows);
            let mut dweights = zeros::<N>(rows);
            #[unroll]
            for w in 0..width {
                k[w] = fetch(qkv, keys + offset + w, &shared, slot * width + w, staged);
                let at = value_slots + slot * width + w;
                let v = fetch(qkv, values + offset + w, &shared, at, staged);
                #[unroll]
                for r in 0..rows {
                    scores[r] += q[r * width + w] * k[w];
                    dweights[r] += g[r * width + w] * v;
                }
            }
            #[unroll]
            for r in 0..rows {
                let score = params.score(scores[r].vector_sum());
                let key = base + slot;
                let sees = inside(params.sees(first + r, key), key, begins[r], several);
                let sees = params.before_end(sees, key, &ends, r);
                let weight = select(sees, (score - normalizers[r]).exp(), 0.0);
                let dweight = params.dropped(dweights[r].vector_sum(), queries + first + r, key);
                let dproduct = weight * (dweight - deltas[r]) * params.slope(score);
                #[unroll]
                for w in 0..width {
                    dq[r * width + w] += Vector::new(dproduct) * k[w];
                }
            }
        }
    }

    #[unroll]
    for r in 0..rows {
        let t = first + r;
        if t < tokens {
            store_row(&dq, 1.0, dqkv, (sequence + t) * packed + head * width, r, width);
        }
    }
}

/// Writes the keys' and values' part of `dqkv [B T, (H + 2 K) D]`. A block consists of keys.
#[cube(launch_unchecked)]
pub fn keys<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    documents: Documents<'_>,
    log_normalizer: &[f32],
    grad: &[Vector<F, N>],
    delta: &[f32],
    dqkv: &mut [Vector<F, N>],
    params: Params,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let rows = comptime!(layout.rows);
    let staged = comptime!(layout.staged);
    let packed = comptime!(layout.packed());
    let unpacked = comptime!(layout.unpacked());
    let tokens = params.tokens;
    let several = documents.is_some();

    let kv_head = CUBE_POS_Y as usize % layout.kv_heads;
    let number = CUBE_POS_Y as usize / layout.kv_heads;
    let sequence = number * tokens;
    let block = CUBE_POS_X as usize * comptime!(layout.block());
    let first = block + UNIT_POS as usize * rows;
    let to_keys = (layout.heads + kv_head) * width;
    let to_values = to_keys + comptime!(layout.kv_heads * layout.width);

    let mut k = Array::<Vector<f32, N>>::new(comptime!(rows * width));
    let mut v = Array::<Vector<f32, N>>::new(comptime!(rows * width));
    #[unroll]
    for r in 0..rows {
        let start = (sequence + min(first + r, tokens - 1)) * packed;
        load_row(qkv, start + to_keys, &mut k, r, width);
        load_row(qkv, start + to_values, &mut v, r, width);
    }
    let mut dk = zeros::<N>(comptime!(rows * width));
    let mut dv = zeros::<N>(comptime!(rows * width));

    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(comptime!(layout.shared()));
    let grad_slots = comptime!(layout.stage * layout.width);
    // A bidirectional key is seen by the queries of its document.
    let mut documents_of_keys = Sequence::<(usize, usize)>::new();
    if comptime!(several && !params.causal) {
        #[unroll]
        for r in 0..rows {
            let key = min(first + r, tokens - 1);
            let begin = document(&documents, sequence + key);
            documents_of_keys.push((begin, end_of_document(&documents, sequence, key, tokens)));
        }
    }
    let (start, end) = params.queries_of(&documents, sequence, block, comptime!(layout.block()));
    for member in 0..comptime!(layout.group()) {
        let head = kv_head * comptime!(layout.group()) + member;
        let to_queries = sequence * packed + head * width;
        let to_grads = sequence * unpacked + head * width;
        let queries = (number * layout.heads + head) * tokens;
        for base in range_stepped(start, end, layout.stage) {
            if staged {
                sync_cube();
                stage(qkv, to_queries, base, tokens, &mut shared, 0usize, packed, layout);
                stage(grad, to_grads, base, tokens, &mut shared, 1usize, unpacked, layout);
                sync_cube();
            }
            for slot in 0..layout.stage {
                let t = min(base + slot, tokens - 1);
                let mut q = Array::<Vector<f32, N>>::new(width);
                let mut g = Array::<Vector<f32, N>>::new(width);
                let mut scores = zeros::<N>(rows);
                let mut dweights = zeros::<N>(rows);
                #[unroll]
                for w in 0..width {
                    let at = slot * width + w;
                    q[w] = fetch(qkv, to_queries + t * packed + w, &shared, at, staged);
                    let at = grad_slots + at;
                    g[w] = fetch(grad, to_grads + t * unpacked + w, &shared, at, staged);
                    #[unroll]
                    for r in 0..rows {
                        scores[r] += q[w] * k[r * width + w];
                        dweights[r] += g[w] * v[r * width + w];
                    }
                }
                let normalizer = log_normalizer[queries + t];
                let delta = delta[queries + t];
                let begins = if comptime!(params.causal) {
                    document(&documents, sequence + t)
                } else {
                    0usize.runtime()
                };
                #[unroll]
                for r in 0..rows {
                    let key = first + r;
                    let score = params.score(scores[r].vector_sum());
                    let sees = base + slot < end && params.sees(t, key);
                    let sees = if comptime!(params.causal) {
                        inside(sees, key, begins, several)
                    } else if comptime!(several) {
                        let (begin, end) = documents_of_keys[r];
                        sees && t >= begin && t < end
                    } else {
                        sees
                    };
                    let weight = select(sees, (score - normalizer).exp(), 0.0);
                    let dweight = params.dropped(dweights[r].vector_sum(), queries + t, key);
                    let dproduct = weight * (dweight - delta) * params.slope(score);
                    let weight = params.dropped(weight, queries + t, key);
                    #[unroll]
                    for w in 0..width {
                        dv[r * width + w] += Vector::new(weight) * g[w];
                        dk[r * width + w] += Vector::new(dproduct) * q[w];
                    }
                }
            }
        }
    }

    #[unroll]
    for r in 0..rows {
        let u = first + r;
        if u < tokens {
            let start = (sequence + u) * packed;
            store_row(&dk, 1.0, dqkv, start + to_keys, r, width);
            store_row(&dv, 1.0, dqkv, start + to_values, r, width);
        }
    }
}
