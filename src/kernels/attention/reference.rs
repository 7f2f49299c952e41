//! The reference in burn's own operations.

use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Int, Tensor};

use super::{Documents, HeadDivision, Options, WeightDropout};
use crate::kernels::dropout;

/// Added to hidden scores: vanishes in the softmax, and stays finite in sums of every float type.
const MASKED: f64 = -30_000.0;

/// [`attention`](fn@super::attention) in burn's own operations.
pub fn attention(qkv: Tensor<2>, documents: Option<Documents>, options: Options) -> Tensor<2> {
    let Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    let part = |from: usize, count: usize| {
        let part = qkv.clone().narrow(1, from * head_dim, count * head_dim);
        part.reshape([batch, tokens, count, head_dim]).swap_dims(1, 2)
    };
    let parts = [(0, heads), (heads, kv_heads), (heads + kv_heads, kv_heads)];
    let [q, k, v] = parts.map(|(from, count)| part(from, count));
    composed(q, k, v, documents, options)
}

/// Attention of queries `[B, H, T, D]`, the last of `S` tokens, to keys and values `[B, K, S, D]`: `[B T, H D]`.
pub(in crate::kernels) fn composed(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    documents: Option<Documents>,
    options: Options,
) -> Tensor<2> {
    let Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    let keys = k.dims()[2];
    let group = heads / kv_heads;
    let shared = |x: Tensor<4>| {
        let x = x.reshape([batch, kv_heads, 1, keys * head_dim]).repeat_dim(2, group);
        x.reshape([batch, heads, keys, head_dim])
    };
    let (k, v) = (shared(k), shared(v)); // B H S D
    let mut scores = q.mul_scalar(options.scale).matmul(k.swap_dims(2, 3)); // B H T S
    if let Some(cap) = options.soft_cap {
        scores = tanh(scores.div_scalar(cap)).mul_scalar(cap);
    }
    let positions =
        |from: usize| Tensor::<1, Int>::arange(from as i64..keys as i64, &scores.device());
    let query = positions(keys - tokens).reshape([tokens, 1]).expand([tokens, keys]);
    let ahead = positions(0).reshape([1, keys]).expand([tokens, keys]) - query;
    // Bidirectional, no key is too far ahead.
    let limit = if options.causal { 0 } else { keys as i64 };
    let mut hidden = ahead.clone().greater_elem(limit);
    if let Some(window) = options.window {
        hidden = hidden.bool_or(ahead.abs().greater_equal_elem(window as i64));
    }
    let shape = [batch, heads, tokens, keys];
    let mut hidden = hidden.reshape([1, 1, tokens, keys]).expand(shape);
    if let Some(documents) = documents {
        let begins = documents.begins();
        let query = begins.clone().reshape([batch, 1, tokens, 1]).expand(shape);
        let key = begins.reshape([batch, 1, 1, keys]).expand(shape);
        hidden = hidden.bool_or(key.not_equal(query));
    }
    let mut weights = softmax(scores.mask_fill(hidden, MASKED), 3);
    if let Some(dropout) = options.dropout {
        let WeightDropout { dropout, division } = dropout;
        let HeadDivision { before, all } =
            division.unwrap_or(HeadDivision { before: 0, all: heads });
        let ones = Tensor::ones([batch, all, tokens, keys], &weights.device());
        weights = weights * dropout::reference::dropout(ones, dropout).narrow(1, before, heads);
    }
    weights.matmul(v).swap_dims(1, 2).reshape([batch * tokens, heads * head_dim])
}
