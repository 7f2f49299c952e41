//! The forward pass.

use rayon::prelude::*;

use super::block::Block;
use super::rows::{Rows, copy_columns, sequences};
use super::scores::{HeadMask, cap_and_mask};
use crate::kernels::attention::Options;
use crate::kernels::cpu::{Matrix, Store, exp, max, product, sum, vectorized};

/// Computes `out [batch · tokens, heads · head_dim]` of `qkv [batch · tokens, (heads + 2 · kv_heads) · head_dim]`, and for
/// the backward pass `lse [batch · heads · tokens]`, the log-normalizers.
pub fn forward(
    qkv: &[f32],
    documents: Option<&[i32]>,
    out: &mut [f32],
    lse: &mut [f32],
    options: &Options,
) {
    let &Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    if out.is_empty() {
        return;
    }
    let group = options.group();
    let outs = sequences(out, batch);
    let pairs = lse.par_chunks_mut(group * tokens).enumerate();
    let pairs = pairs.with_min_len(options.pairs_per_task());
    pairs.for_each_init(Forward::default, |Forward { scores, k_t, v, out }, (pair, lse)| {
        let (sequence, kv) = (pair / kv_heads, pair % kv_heads);
        let rows = Rows::new(qkv, sequence, options);
        rows.transpose(heads + kv, k_t);
        rows.copy(heads + kv_heads + kv, v);
        out.resize(tokens * head_dim, 0.0);
        for (i, lse) in lse.chunks_exact_mut(tokens).enumerate() {
            let query = kv * group + i;
            let mask = HeadMask::new(options, sequence, query);
            for block in Block::all(sequence, documents, options) {
                let Block { query: first, queries, key, keys, .. } = block;
                scores.resize(queries * keys, 0.0);
                let q = rows.queries(query, block);
                let k_t = block.key_columns(k_t, tokens);
                product(q, k_t, options.scale, Store::Replace, scores, keys);
                softmax(scores, &mut lse[first..first + queries], block, options.soft_cap, mask);
                let p = Matrix::new(scores, queries, keys);
                let v = Matrix::new(&v[key * head_dim..], keys, head_dim);
                product(p, v, 1.0, Store::Replace, &mut out[first * head_dim..], head_dim);
            }
            copy_columns(out, &outs[sequence], heads * head_dim, options.columns(query));
        }
    });
}

/// Buffers of a thread's forward pass.
#[derive(Default)]
struct Forward {
    scores: Vec<f32>,
    k_t: Vec<f32>,
    v: Vec<f32>,
    out: Vec<f32>,
}

vectorized! {
    /// Replaces `scores [queries, keys]` by probabilities, dropout included.
    fn softmax(
        scores: &mut [f32],
        lse: &mut [f32],
        block: Block<'_>,
        soft_cap: Option<f32>,
        mask: HeadMask,
    ) {
        for (i, (row, lse)) in scores.chunks_exact_mut(block.keys).zip(lse).enumerate() {
            cap_and_mask(row, block.visible(i), soft_cap);
            let top = max(row);
            for score in &mut *row {
                *score = exp(*score - top);
            }
            let total = sum(row, |x| x);
            *lse = top + total.ln();
            let scale = 1.0 / total;
            match mask.at(block.query + i, block.key) {
                None => row.iter_mut().for_each(|p| *p *= scale),
                Some((mask, start)) => {
                    for (j, p) in row.iter_mut().enumerate() {
                        *p *= scale * mask.factor(start.wrapping_add(j as u32));
                    }
                }
            }
        }
    }
}
