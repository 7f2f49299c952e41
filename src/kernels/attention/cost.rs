//! Bytes and FLOPs of attention: those that no implementation can do without, and those of each kernel on a GPU.

use super::Options;
use crate::kernels::cost::{Cost, Costs};

/// Work of each kernel on a GPU. The kernels for tensor cores and those that every GPU can run divide it alike, so that only the
/// size of a number and the peak of the arithmetic differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelCosts {
    /// The forward pass: scores and weighted values.
    pub forward: Cost,
    /// The gradient of queries: scores and the gradients of weights and queries.
    pub queries: Cost,
    /// The gradients of keys and values: scores again, and the gradients of weights, keys and values.
    pub keys: Cost,
}

impl Options {
    /// Pairs of a query and a key that it sees, in one head of one sequence without document boundaries.
    fn visible_pairs(&self) -> f64 {
        let tokens = self.tokens as f64;
        let window = self.window.map_or(tokens, |window| tokens.min(window as f64));
        // A window is cut off at the begin of the sequence, and bidirectional ones at its end, too.
        let (width, cut) = match self.causal {
            true => (window, window * (window - 1.0) / 2.0),
            false => (2.0 * window - 1.0, window * (window - 1.0)),
        };
        tokens * width - cut
    }

    /// Returns the cost of `products` products of `D` numbers per visible pair, `vectors` reads or writes of one head's numbers
    /// per token, of `size` bytes each, and `per_query` f32 per query and head.
    fn cost(&self, products: f64, vectors: usize, size: usize, per_query: usize) -> Cost {
        let tokens = (self.batch * self.tokens) as f64;
        let bytes = vectors * self.head_dim * size + 4 * per_query * self.heads;
        let pairs = (self.batch * self.heads) as f64 * self.visible_pairs();
        Cost { bytes: tokens * bytes as f64, flops: 2.0 * products * pairs * self.head_dim as f64 }
    }

    /// Returns the costs with numbers of `size` bytes. Per pair of a query and a key that it sees, a score and a weighted
    /// value forward; backward, the score again and four gradients. `qkv`, the result and a normalizer (f32) per query and head
    /// are read and written, in the backward pass with the gradients of the first two.
    pub fn costs(&self, size: usize) -> Costs {
        // Heads of `qkv` and of the result.
        let vectors = 2 * (self.heads + self.kv_heads);
        Costs {
            forward: self.cost(2.0, vectors, size, 1),
            backward: self.cost(5.0, 2 * vectors, size, 1),
        }
    }

    /// Returns the costs of each kernel with numbers of `size` bytes. The backward pass has two kernels, so that each number of
    /// the gradient is written once: both compute the scores and the gradients of the weights, and read `qkv` and the gradient
    /// of the result. The first one passes on a sum (f32) per query and head.
    pub fn kernel_costs(&self, size: usize) -> KernelCosts {
        let Self { heads, kv_heads, .. } = *self;
        let read = heads + 2 * kv_heads + heads;
        KernelCosts {
            forward: self.costs(size).forward,
            // Reads the result, too, and writes the gradient of queries.
            queries: self.cost(3.0, read + 2 * heads, size, 2),
            keys: self.cost(4.0, read + 2 * kv_heads, size, 2),
        }
    }
}
