//! Keys and values kept from the tokens seen so far, and how new tokens attend to them.
//!
//! A cache is one tensor `[2, B, K, S, D]`: the keys, then the values, of `S` tokens at most, which fill it from
//! the front. A position is written once and read at every later step, so reading is what decoding costs: each
//! key and value is read once for all queries that share its head, and long caches are read in pieces side by
//! side, whose softmaxes are merged (flash-decoding, Dao et al. 2023).

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::attention::{self, Options};

/// Puts the keys and values of `qkv [B T, (H + 2 K) D]` into `cache [2, B, K, S, D]` at positions `start..start + T`,
/// in place if nobody else holds it.
pub fn write(cache: Tensor<5>, qkv: Tensor<2>, start: usize) -> Tensor<5> {
    Tensor::from_dispatch(Dispatch::cache_write(cache.into_dispatch(), qkv.into_dispatch(), start))
}

/// What the queries of `qkv [B T, (H + 2 K) D]` gather from the tokens before them and their own, all of which are in
/// `cache [2, B, K, S, D]`: `[B T, H D]`. The first query is at position `start`. Nothing is dropped out.
pub fn attend(qkv: Tensor<2>, cache: Tensor<5>, start: usize, options: Options) -> Tensor<2> {
    let out = Dispatch::cache_attend(qkv.into_dispatch(), cache.into_dispatch(), start, options);
    Tensor::from_dispatch(out)
}

/// [`write`](fn@write) in burn's own operations.
pub fn write_reference(cache: Tensor<5>, qkv: Tensor<2>, start: usize) -> Tensor<5> {
    let [_, batch, kv_heads, _, dim] = cache.dims();
    let tokens = qkv.dims()[0] / batch;
    let first = qkv.dims()[1] - 2 * kv_heads * dim;
    let new = qkv
        .narrow(1, first, 2 * kv_heads * dim)
        .reshape([batch, tokens, 2, kv_heads, dim])
        .permute([2, 0, 3, 1, 4]);
    cache.slice_assign([0..2, 0..batch, 0..kv_heads, start..start + tokens, 0..dim], new)
}

/// [`attend`] in burn's own operations.
pub fn attend_reference(
    qkv: Tensor<2>,
    cache: Tensor<5>,
    start: usize,
    options: Options,
) -> Tensor<2> {
    let Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    let end = start + tokens;
    let q = qkv.narrow(1, 0, heads * head_dim);
    let q = q.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2);
    let part = |i| {
        let part = cache.clone().slice([i..i + 1, 0..batch, 0..kv_heads, 0..end, 0..head_dim]);
        part.reshape([batch, kv_heads, end, head_dim])
    };
    attention::composed(q, part(0), part(1), None, options)
}

/// What the model calls while it decodes, which nothing differentiates.
#[backend_extension(Cube, Flex)]
pub trait KvCacheOps: Backend {
    /// See [`write`](fn@write).
    fn cache_write(
        cache: FloatTensor<Self>,
        qkv: FloatTensor<Self>,
        start: usize,
    ) -> FloatTensor<Self>;

    /// See [`attend`].
    fn cache_attend(
        qkv: FloatTensor<Self>,
        cache: FloatTensor<Self>,
        start: usize,
        options: Options,
    ) -> FloatTensor<Self>;
}

/// Where a pass over new tokens finds its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    batch: usize,
    tokens: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    capacity: usize,
    start: usize,
}

impl Place {
    /// Of `qkv [B T, (H + 2 K) D]` and `cache [2, B, K, S, D]`; the first token is at position `start`.
    ///
    /// # Panics
    /// With more tokens than there is room for: whoever holds a cache looks first.
    pub(super) fn new(qkv: &Shape, cache: &Shape, start: usize) -> Self {
        let [batch, kv_heads, capacity, dim] = [1, 2, 3, 4].map(|i| cache[i]);
        let (tokens, heads) = (qkv[0] / batch, qkv[1] / dim - 2 * kv_heads);
        assert!(start + tokens <= capacity, "{tokens} tokens after {start} in room for {capacity}");
        assert!(batch * tokens == qkv[0], "a cache of {batch} sequences is given {} rows", qkv[0]);
        Self { batch, tokens, heads, kv_heads, dim, capacity, start }
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers in a row of `qkv`.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.dim
    }

    /// Tokens in the cache, the new ones included.
    fn end(&self) -> usize {
        self.start + self.tokens
    }

    /// The first key that the query at `position` sees.
    fn first_key(&self, position: usize, window: Option<usize>) -> usize {
        window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}
