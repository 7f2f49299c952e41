//! KV cache: keys and values of previous tokens, so that decoding a token computes only that token.

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::kernels::attention::Options;
use crate::kernels::kv_cache;

/// Keys and values of every block, allocated once and written in place.
#[derive(Debug)]
pub struct KvCache {
    /// `[2, B, K, capacity, D]` per block: keys, then values
    blocks: Vec<Tensor<5>>,
    batch: usize,
    len: usize,
    capacity: usize,
}

impl KvCache {
    /// Allocates a cache for `capacity` tokens of `batch` sequences. `device` must not be an autodiff device.
    pub fn new(c: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [2, batch, c.num_key_value_heads, capacity, c.head_dim];
        let blocks = (0..c.num_hidden_layers).map(|_| Tensor::zeros(shape, device)).collect();
        Self { blocks, batch, len: 0, capacity }
    }

    /// Returns the number of cached tokens per sequence.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if no token is cached.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the maximum number of tokens per sequence.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Drops all tokens after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Returns an error unless `tokens` more tokens fit for each of `batch` sequences.
    pub(super) fn check_room(&self, batch: usize, tokens: usize) -> Result<()> {
        let end = self.len + tokens;
        if end > self.capacity {
            return Err(Error::ContextOverflow { tokens: end, context: self.capacity });
        }
        if batch != self.batch {
            return Err(Error::CacheBatch { given: batch, cached: self.batch });
        }
        Ok(())
    }

    /// Appends the keys and values of `qkv [B T, (H + 2 K) D]` to one block's cache.
    pub(super) fn write(&mut self, layer: usize, qkv: Tensor<2>) {
        self.blocks[layer].inplace(|block| kv_cache::write(block, qkv, self.len));
    }

    /// Computes attention of the queries in `qkv [B T, (H + 2 K) D]` over one block's cache, which already holds their
    /// keys and values: `[B T, H D]`.
    pub(super) fn attend(&self, layer: usize, qkv: Tensor<2>, options: Options) -> Tensor<2> {
        kv_cache::attend(qkv, self.blocks[layer].clone(), self.len, options)
    }

    /// Returns one block's keys and values, `[2, B, K, capacity, D]`; unwritten positions are zero.
    pub fn block(&self, layer: usize) -> Tensor<5> {
        self.blocks[layer].clone()
    }

    /// Returns one block's keys, including those of `tokens` tokens that are not counted yet: `[B, K, S, D]`.
    pub(super) fn keys(&self, layer: usize, tokens: usize) -> Tensor<4> {
        let [_, batch, heads, _, dim] = self.blocks[layer].dims();
        let end = self.len + tokens;
        let keys = self.blocks[layer].clone().slice([0..1, 0..batch, 0..heads, 0..end, 0..dim]);
        keys.reshape([batch, heads, end, dim])
    }

    /// Counts `tokens` as cached once every block has written them.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
