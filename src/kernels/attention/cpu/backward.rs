//! The backward pass. Probabilities are computed again from the scores and their log-normalizers.

use std::sync::Mutex;

use rayon::prelude::*;

use super::block::Block;
use super::rows::{Rows, copy_columns, sequences};
use super::scores::{HeadMask, cap_and_mask};
use crate::kernels::attention::Options;
use crate::kernels::cpu::{Matrix, Store, exp, product, sum2, vectorized};

/// Arguments and results of the forward pass, and the gradient of its output.
#[derive(Clone, Copy)]
pub struct Slices<'a> {
    pub qkv: &'a [f32],
    pub out: &'a [f32],
    pub lse: &'a [f32],
    pub documents: Option<&'a [i32]>,
    pub dout: &'a [f32],
}

/// Writes the gradient of `qkv`.
pub fn backward(saved: Slices, dqkv: &mut [f32], options: &Options) {
    let &Options { batch, kv_heads, .. } = options;
    if dqkv.is_empty() {
        return;
    }
    let dqkvs = sequences(dqkv, batch);
    let pairs = (0..batch * kv_heads).into_par_iter().with_min_len(options.pairs_per_task());
    pairs.for_each_init(Backward::default, |scratch, pair| {
        let (sequence, kv) = (pair / kv_heads, pair % kv_heads);
        backward_pair(saved, &dqkvs[sequence], scratch, [sequence, kv], options);
    });
}

/// Buffers of a thread's backward pass.
#[derive(Default)]
struct Backward {
    scores: Vec<f32>,
    dscores: Vec<f32>,
    deltas: Vec<f32>,
    k: Vec<f32>,
    k_t: Vec<f32>,
    v_t: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// [`backward`] for the query heads of key/value head `kv` of one sequence.
fn backward_pair(
    saved: Slices,
    dqkv: &Mutex<&mut [f32]>,
    scratch: &mut Backward,
    [sequence, kv]: [usize; 2],
    options: &Options,
) {
    let &Options { tokens, heads, kv_heads, head_dim, .. } = options;
    let width = options.width();
    let out_width = heads * head_dim;
    let Backward { scores, dscores, deltas, k, k_t, v_t, dq, dk, dv } = scratch;
    let rows = Rows::new(saved.qkv, sequence, options);
    rows.copy(heads + kv, k);
    rows.transpose(heads + kv, k_t);
    rows.transpose(heads + kv_heads + kv, v_t);
    dq.resize(tokens * head_dim, 0.0);
    for total in [&mut *dk, &mut *dv] {
        total.clear();
        total.resize(tokens * head_dim, 0.0);
    }
    for query in kv * options.group()..(kv + 1) * options.group() {
        let mask = HeadMask::new(options, sequence, query);
        let lse = &saved.lse[(sequence * heads + query) * tokens..];
        for block in Block::all(sequence, saved.documents, options) {
            let Block { query: first, queries, key, keys, .. } = block;
            let q = rows.queries(query, block);
            let start = (sequence * tokens + first) * out_width + options.columns(query).start;
            let (out, dout) = (&saved.out[start..], &saved.dout[start..]);
            let dout_rows = Matrix::strided(dout, queries, head_dim, out_width);

            scores.resize(queries * keys, 0.0);
            let k_t = block.key_columns(k_t, tokens);
            product(q, k_t, options.scale, Store::Replace, scores, keys);
            dscores.resize(queries * keys, 0.0);
            let v_t = block.key_columns(v_t, tokens);
            product(dout_rows, v_t, 1.0, Store::Replace, dscores, keys);
            deltas.resize(queries, 0.0);
            row_products(out, dout, deltas, head_dim, out_width);
            softmax_backward(scores, dscores, &lse[first..], deltas, block, options.soft_cap, mask);

            let p = Matrix::new(scores, queries, keys);
            let ds = Matrix::new(dscores, queries, keys);
            let (own, seen) = (first * head_dim, key * head_dim);
            let k = Matrix::new(&k[seen..], keys, head_dim);
            product(ds, k, options.scale, Store::Replace, &mut dq[own..], head_dim);
            product(ds.t(), q, options.scale, Store::Add, &mut dk[seen..], head_dim);
            product(p.t(), dout_rows, 1.0, Store::Add, &mut dv[seen..], head_dim);
        }
        copy_columns(dq, dqkv, width, options.columns(query));
    }
    copy_columns(dk, dqkv, width, options.columns(heads + kv));
    copy_columns(dv, dqkv, width, options.columns(heads + kv_heads + kv));
}

vectorized! {
    /// Inner products of the rows of `a` and `b`, `dim` long and `stride` apart.
    fn row_products(a: &[f32], b: &[f32], out: &mut [f32], dim: usize, stride: usize) {
        for ((out, a), b) in out.iter_mut().zip(a.chunks(stride)).zip(b.chunks(stride)) {
            *out = sum2(&a[..dim], &b[..dim], |a, b| a * b);
        }
    }

    /// Replaces `scores [queries, keys]` by probabilities, dropout included, and their gradients `dscores` by those of the
    /// scores. `deltas` are the inner products of outputs and their gradients.
    fn softmax_backward(
        scores: &mut [f32],
        dscores: &mut [f32],
        lse: &[f32],
        deltas: &[f32],
        block: Block<'_>,
        soft_cap: Option<f32>,
        mask: HeadMask,
    ) {
        let rows = scores.chunks_exact_mut(block.keys).zip(dscores.chunks_exact_mut(block.keys));
        for (i, ((row, drow), (&lse, &delta))) in rows.zip(lse.iter().zip(deltas)).enumerate() {
            cap_and_mask(row, block.visible(i), soft_cap);
            if let Some((mask, start)) = mask.at(block.query + i, block.key) {
                for (j, (score, d)) in row.iter_mut().zip(&mut *drow).enumerate() {
                    let factor = mask.factor(start.wrapping_add(j as u32));
                    let p = exp(*score - lse);
                    *d = p * (*d * factor - delta) * slope(*score, soft_cap);
                    *score = p * factor;
                }
            } else {
                for (score, d) in row.iter_mut().zip(&mut *drow) {
                    let p = exp(*score - lse);
                    *d = p * (*d - delta) * slope(*score, soft_cap);
                    *score = p;
                }
            }
        }
    }
}

/// Returns the derivative of the soft-capped score; 0 if it is hidden.
#[inline(always)]
fn slope(score: f32, soft_cap: Option<f32>) -> f32 {
    match soft_cap {
        Some(cap) if score > f32::NEG_INFINITY => 1.0 - (score / cap) * (score / cap),
        Some(_) => 0.0,
        None => 1.0,
    }
}
