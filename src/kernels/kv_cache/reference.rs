//! The reference in burn's own operations.

use burn::tensor::Tensor;

use crate::kernels::attention::{self, Options};

/// [`write`](fn@super::write) in burn's own operations.
pub fn write(cache: Tensor<5>, qkv: Tensor<2>, start: usize) -> Tensor<5> {
    let [_, batch, kv_heads, _, dim] = cache.dims();
    let tokens = qkv.dims()[0] / batch;
    let first = qkv.dims()[1] - 2 * kv_heads * dim;
    let new = qkv
        .narrow(1, first, 2 * kv_heads * dim)
        .reshape([batch, tokens, 2, kv_heads, dim])
        .permute([2, 0, 3, 1, 4]);
    cache.slice_assign([0..2, 0..batch, 0..kv_heads, start..start + tokens, 0..dim], new)
}

/// [`attend`](fn@super::attend) in burn's own operations.
pub fn attend(qkv: Tensor<2>, cache: Tensor<5>, start: usize, options: Options) -> Tensor<2> {
    let Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    let end = start + tokens;
    let q = qkv.narrow(1, 0, heads * head_dim);
    let q = q.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2);
    let part = |i| {
        let part = cache.clone().slice([i..i + 1, 0..batch, 0..kv_heads, 0..end, 0..head_dim]);
        part.reshape([batch, kv_heads, end, head_dim])
    };
    attention::reference::composed(q, part(0), part(1), None, options)
}
