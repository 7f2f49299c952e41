//! Keys and values of the tokens seen so far, so that generating one more token costs one token.

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;

/// A preallocated cache for every block.
#[derive(Debug)]
pub struct KvCache {
    /// `[B, K, capacity, D]` per block
    keys: Vec<Tensor<4>>,
    /// `[B, K, capacity, D]` per block
    values: Vec<Tensor<4>>,
    len: usize,
    capacity: usize,
}

impl KvCache {
    /// Room for `capacity` tokens of `batch` sequences. `device` must not differentiate.
    pub fn new(c: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [batch, c.num_key_value_heads, capacity, c.head_dim];
        let empty = || (0..c.num_hidden_layers).map(|_| Tensor::zeros(shape, device)).collect();
        Self { keys: empty(), values: empty(), len: 0, capacity }
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

    /// Writes `T` new keys and values of one block; returns all of them, `[B, K, S, D]` each.
    pub(super) fn extend(
        &mut self,
        layer: usize,
        keys: Tensor<4>,
        values: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, tokens, width] = keys.dims();
        let end = self.len + tokens;
        let write = |store: &mut Tensor<4>, new: Tensor<4>| {
            let place = [0..batch, 0..heads, self.len..end, 0..width];
            store.inplace(|store| store.slice_assign(place, new));
            store.clone().slice([0..batch, 0..heads, 0..end, 0..width])
        };
        (write(&mut self.keys[layer], keys), write(&mut self.values[layer], values))
    }

    /// Counts the tokens that every block has written by now.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
