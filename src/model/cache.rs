//! KV cache: keys and values of previous tokens, so that decoding a token computes only that token.

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::kernels::attention::Options;
use crate::kernels::kv_cache;

/// Tokens that a cache has memory for at first. Each growth doubles it, so that a text of `T` tokens is copied less than
/// twice in all.
const FIRST: usize = 256;

/// Keys and values of every block, written in place.
///
/// A model's context may be a thousand times longer than a text, so memory is allocated as the text grows. Kernels take the
/// number of tokens as an argument: the results are the same, to the bit, for every amount of memory.
#[derive(Debug)]
pub struct KvCache {
    /// `[2, B, K, S, D]` per block: keys, then values of `S` tokens, zero where they are not written yet
    blocks: Vec<Tensor<5>>,
    batch: usize,
    len: usize,
    capacity: usize,
    /// Tokens per sequence that are expected in all: growth stops there unless there are more.
    expected: usize,
}

impl KvCache {
    /// Creates an empty cache for up to `capacity` tokens of `batch` sequences. `device` must not be an autodiff device.
    pub fn new(c: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [2, batch, c.num_key_value_heads, FIRST.min(capacity), c.head_dim];
        let blocks = (0..c.num_hidden_layers).map(|_| Tensor::zeros(shape, device)).collect();
        Self { blocks, batch, len: 0, capacity, expected: capacity }
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

    /// Returns the number of tokens per sequence that there is memory for.
    pub fn allocated(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.dims()[3])
    }

    /// Announces that each sequence will have up to `tokens` tokens, so that no memory is allocated for more as long as there
    /// are not more.
    pub fn expect(&mut self, tokens: usize) {
        self.expected = tokens.min(self.capacity);
    }

    /// Drops all tokens after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `tokens` more tokens of each of `batch` sequences.
    ///
    /// # Errors
    /// Returns an error if they exceed the capacity, or the cache holds another number of sequences.
    pub(super) fn make_room(&mut self, batch: usize, tokens: usize) -> Result<()> {
        let end = self.len + tokens;
        if end > self.capacity {
            return Err(Error::ContextOverflow { tokens: end, context: self.capacity });
        }
        if batch != self.batch {
            return Err(Error::CacheBatch { given: batch, cached: self.batch });
        }
        if end > self.allocated() {
            self.grow(end);
        }
        Ok(())
    }

    /// Allocates memory for at least `needed` tokens, at most [`Self::capacity`], and copies what is cached, one block after
    /// the other.
    fn grow(&mut self, needed: usize) {
        let most = if needed > self.expected { self.capacity } else { self.expected };
        let tokens = needed.max((2 * self.allocated()).min(most));
        for block in &mut self.blocks {
            let [two, batch, heads, old, dim] = block.dims();
            let added = [two, batch, heads, tokens - old, dim];
            block.inplace(|block| {
                let zeros = Tensor::zeros(added, &block.device());
                Tensor::cat(vec![block, zeros], 3)
            });
        }
    }

    /// Appends the keys and values of `qkv [B T, (H + 2 K) D]` to one block's cache, which has room for them.
    pub(super) fn write(&mut self, layer: usize, qkv: Tensor<2>) {
        self.blocks[layer].inplace(|block| kv_cache::write(block, qkv, self.len));
    }

    /// Computes attention of the queries in `qkv [B T, (H + 2 K) D]` over one block's cache, which already holds their
    /// keys and values: `[B T, H D]`.
    pub(super) fn attend(&self, layer: usize, qkv: Tensor<2>, options: Options) -> Tensor<2> {
        kv_cache::attend(qkv, self.blocks[layer].clone(), self.len, options)
    }

    /// Returns one block's keys and values of the tokens so far, `[2, B, K, S, D]`.
    pub fn block(&self, layer: usize) -> Tensor<5> {
        self.blocks[layer].clone().slice_dim(3, 0..self.len)
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
