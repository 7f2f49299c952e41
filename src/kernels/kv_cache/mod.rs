//! Keys and values of the tokens seen so far, and how new tokens attend to them.
//!
//! A cache is one tensor `[2, B, K, S, D]`: the keys, then the values, of at most `S` tokens, filled from the front. A
//! position is written once and read at every later step, so decoding is bound by reading: each key and value is read once
//! for all queries that share its head, and long caches are read in pieces side by side, whose softmaxes are merged
//! (Flash-Decoding, Dao et al. 2023).
//!
//! Shapes: `B` sequences of `T` new tokens, `H` query heads, `K` key and value heads, `D` numbers per head.
//!
//! ```
//! use blankslate::kernels::attention::Options;
//! use blankslate::kernels::kv_cache::{attend, write};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let options = Options {
//!     batch: 1, tokens: 1, heads: 1, kv_heads: 1, head_dim: 1, causal: true,
//!     scale: 1.0, soft_cap: None, window: None, dropout: None,
//! };
//! let mut cache = Tensor::<5>::zeros([2, 1, 1, 4, 1], &device); // room for four tokens
//! let mut outputs = Vec::new();
//! for (position, value) in [1.0f32, 3.0].into_iter().enumerate() {
//!     let qkv = Tensor::<2>::from_data([[0.0, 0.0, value]], &device); // query, key, value
//!     cache = write(cache, qkv.clone(), position);
//!     outputs.push(attend(qkv, cache.clone(), position, options.clone()).into_scalar::<f32>());
//! }
//! assert_eq!(outputs, [1.0, 2.0]); // scores are equal: the mean of the values so far
//! ```

mod cpu;
mod gpu;
pub mod reference;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::attention::Options;
use super::check::Check;
use super::cost::Cost;

/// Writes the keys and values of `qkv [B T, (H + 2 K) D]` to positions `start..start + T` of `cache [2, B, K, S, D]`, in
/// place if the cache is not shared.
///
/// # Panics
/// If a tensor is empty, shapes do not fit, the tensors differ in device or dtype, or there is no room for the tokens.
#[track_caller]
pub fn write(cache: Tensor<5>, qkv: Tensor<2>, start: usize) -> Tensor<5> {
    let check = Check("kv_cache::write");
    check.not_empty("qkv", &qkv);
    check.not_empty("cache", &cache);
    let [two, batch, kv_heads, _, dim] = cache.dims();
    let [rows, width] = qkv.dims();
    let heads = width / dim;
    check.require(two == 2 && heads > 2 * kv_heads && width == heads * dim, || {
        format!("`qkv` {:?} does not belong to a `cache` {:?}", qkv.dims(), cache.dims())
    });
    check.heads(heads - 2 * kv_heads, kv_heads, dim);
    check_cache(check, &qkv, &cache, start, rows / batch);
    check.shape("qkv", &qkv, "[B T, (H + 2 K) D]", [rows / batch * batch, width]);
    Tensor::from_dispatch(Dispatch::cache_write(cache.into_dispatch(), qkv.into_dispatch(), start))
}

/// Computes causal attention of the queries of `qkv [B T, (H + 2 K) D]`, the first of which is at position `start`, to
/// all tokens up to their own, which are in `cache [2, B, K, S, D]`: `[B T, H D]`.
///
/// # Panics
/// If a tensor is empty, shapes do not fit the options, the tensors differ in device or dtype, or the options ask for dropout or for
/// bidirectional attention: later keys are not in the cache yet.
#[track_caller]
pub fn attend(qkv: Tensor<2>, cache: Tensor<5>, start: usize, options: Options) -> Tensor<2> {
    let check = Check("kv_cache::attend");
    options.check(check, &qkv);
    let Options { batch, tokens, kv_heads, head_dim, .. } = options;
    let capacity = cache.dims()[3];
    check.shape("cache", &cache, "[2, B, K, S, D]", [2, batch, kv_heads, capacity, head_dim]);
    check_cache(check, &qkv, &cache, start, tokens);
    check.require(options.causal, || "attention with a cache is causal".into());
    check.require(options.dropout.is_none(), || "attention with a cache has no dropout".into());
    let out = Dispatch::cache_attend(qkv.into_dispatch(), cache.into_dispatch(), start, options);
    Tensor::from_dispatch(out)
}

/// Returns the cost of [`attend`] after `start` tokens with numbers of `size` bytes: every key and value is read once, queries
/// are read, and results written. Its few products are done while the cache is read.
pub fn cost(options: &Options, start: usize, size: usize) -> Cost {
    let [batch, tokens, heads, kv_heads, dim, start] =
        [options.batch, options.tokens, options.heads, options.kv_heads, options.head_dim, start]
            .map(|length| length as f64);
    let cached = 2.0 * kv_heads * (start + tokens);
    Cost { bytes: batch * dim * (cached + 2.0 * heads * tokens) * size as f64, flops: 0.0 }
}

#[track_caller]
fn check_cache(check: Check, qkv: &Tensor<2>, cache: &Tensor<5>, start: usize, tokens: usize) {
    check.float("qkv", qkv);
    check.alike(qkv, "cache", cache);
    let capacity = cache.dims()[3];
    check.require(start.saturating_add(tokens) <= capacity, || {
        format!("{tokens} tokens after {start} exceed the cache's capacity of {capacity}")
    });
}

/// The operations on every backend. They are not differentiable.
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

/// Shapes of a pass over new tokens.
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
    /// Reads the shapes of `qkv [B T, (H + 2 K) D]` and `cache [2, B, K, S, D]`, which were checked by [`attend`] or
    /// [`write`](fn@write). The first token is at position `start`.
    pub(super) fn new(qkv: &Shape, cache: &Shape, start: usize) -> Self {
        let [batch, kv_heads, capacity, dim] = [1, 2, 3, 4].map(|i| cache[i]);
        let tokens = qkv[0] / batch;
        let heads = qkv[1] / dim - 2 * kv_heads;
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
