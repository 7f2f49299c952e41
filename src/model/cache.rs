//! Keys and values of the tokens seen so far, so that generating one more token costs one token.

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::kernels::attention::Options;
use crate::kernels::kv_cache;

/// Room for the keys and values of every block, taken once and written in place.
#[derive(Debug)]
pub struct KvCache {
    /// `[2, B, K, capacity, D]` per block: keys, then values
    blocks: Vec<Tensor<5>>,
    batch: usize,
    len: usize,
    capacity: usize,
}

impl KvCache {
    /// Room for `capacity` tokens of `batch` sequences. `device` must not differentiate.
    pub fn new(c: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [2, batch, c.num_key_value_heads, capacity, c.head_dim];
        let blocks = (0..c.num_hidden_layers).map(|_| Tensor::zeros(shape, device)).collect();
        Self { blocks, batch, len: 0, capacity }
    }

    /// Tokens in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no token yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all tokens after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Whether `tokens` more of each of `batch` sequences can be written.
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

    /// Writes the keys and values of one block's `qkv [B T, (H + 2 K) D]` after those there are.
    pub(super) fn write(&mut self, layer: usize, qkv: Tensor<2>) {
        self.blocks[layer].inplace(|block| kv_cache::write(block, qkv, self.len));
    }

    /// What the queries of one block's `qkv [B T, (H + 2 K) D]`, written before, gather from all keys: `[B T, H D]`.
    pub(super) fn attend(&self, layer: usize, qkv: Tensor<2>, options: Options) -> Tensor<2> {
        kv_cache::attend(qkv, self.blocks[layer].clone(), self.len, options)
    }

    /// One block's keys and values, `[2, B, K, capacity, D]`; zeros where no token was written yet.
    pub fn block(&self, layer: usize) -> Tensor<5> {
        self.blocks[layer].clone()
    }

    /// One block's keys, those of `tokens` new ones included: `[B, K, S, D]`.
    pub(super) fn keys(&self, layer: usize, tokens: usize) -> Tensor<4> {
        let [_, batch, heads, _, dim] = self.blocks[layer].dims();
        let end = self.len + tokens;
        let keys = self.blocks[layer].clone().slice([0..1, 0..batch, 0..heads, 0..end, 0..dim]);
        keys.reshape([batch, heads, end, dim])
    }

    /// Counts the tokens that every block has written by now.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
