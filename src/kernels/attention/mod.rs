//! Causal self-attention that never holds a matrix of scores (Dao et al. 2022).

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Int, Tensor};

use super::autodiff::{Rule, record};
use super::dropout::{self, Dropout};
use super::optional::{OptionalInts, optional_ints};

/// The shape of the heads and what is done to the scores.
#[derive(Clone, Debug)]
pub struct Options {
    /// `B`, sequences.
    pub batch: usize,
    /// `T`, tokens per sequence.
    pub tokens: usize,
    /// `H`, query heads.
    pub heads: usize,
    /// `K`, key and value heads; `H / K` query heads share one.
    pub kv_heads: usize,
    /// `D`, numbers per head.
    pub head_dim: usize,
    /// What scores are multiplied by, usually `1 / sqrt(D)`.
    pub scale: f32,
    /// `cap * tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f32>,
    /// A query sees this many keys, its own included (Mistral).
    pub window: Option<usize>,
    /// Dropout of the attention weights.
    pub dropout: Option<Dropout>,
}

/// Attention of `qkv [B T, (H + 2 K) D]`, whose rows are all queries' heads, then the keys', then the
/// values': `[B T, H D]`.
///
/// Where several documents stand in a sequence, `documents [B T]` tells of each token at which place of the sequence its
/// own begins: it sees none before.
pub fn attention(qkv: Tensor<2>, documents: Option<Tensor<1, Int>>, options: Options) -> Tensor<2> {
    let documents = optional_ints(documents);
    Tensor::from_dispatch(Dispatch::attend(qkv.into_dispatch(), documents, options))
}

/// Large enough to vanish in the softmax, small enough to stay finite in every float type's sums.
const MASKED: f64 = -30_000.0;

/// [`attention`] in burn's own operations.
pub fn reference(qkv: Tensor<2>, documents: Option<Tensor<1, Int>>, options: Options) -> Tensor<2> {
    let Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    let part = |from: usize, count: usize| {
        let part = qkv.clone().narrow(1, from * head_dim, count * head_dim);
        part.reshape([batch, tokens, count, head_dim]).swap_dims(1, 2)
    };
    let parts = [(0, heads), (heads, kv_heads), (heads + kv_heads, kv_heads)];
    let [q, k, v] = parts.map(|(from, count)| part(from, count));
    composed(q, k, v, documents, options)
}

/// What queries `[B, H, T, D]` take from values by their keys, `[B, K, S, D]` both: `[B T, H D]`. The queries are the
/// last of the `S` tokens.
pub(super) fn composed(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    documents: Option<Tensor<1, Int>>,
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
    let mut hidden = ahead.clone().greater_elem(0);
    if let Some(window) = options.window {
        hidden = hidden.bool_or(ahead.lower_equal_elem(-(window as i64)));
    }
    let shape = [batch, heads, tokens, keys];
    let mut hidden = hidden.reshape([1, 1, tokens, keys]).expand(shape);
    if let Some(documents) = documents {
        let first = documents.reshape([batch, 1, tokens, 1]).expand(shape);
        let key = positions(0).reshape([1, 1, 1, keys]).expand(shape);
        hidden = hidden.bool_or(key.lower(first));
    }
    let mut weights = softmax(scores.mask_fill(hidden, MASKED), 3);
    if let Some(dropout) = options.dropout {
        weights = dropout::reference(weights, dropout);
    }
    weights.matmul(v).swap_dims(1, 2).reshape([batch * tokens, heads * head_dim])
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait AttentionOps: Backend {
    /// See [`attention`](fn@attention).
    fn attend(
        qkv: FloatTensor<Self>,
        #[extension_type] documents: OptionalInts<Self>,
        options: Options,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait AttentionKernels: AttentionOps {
    /// The output and the logarithm of every query's normalizer, `[B T, H D]` and `[B H T]`.
    fn attention_forward(
        qkv: FloatTensor<Self>,
        documents: Option<IntTensor<Self>>,
        options: &Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of `qkv`.
    fn attention_backward(saved: Saved<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    pub(super) qkv: FloatTensor<B>,
    pub(super) out: FloatTensor<B>,
    pub(super) log_normalizer: FloatTensor<B>,
    pub(super) documents: Option<IntTensor<B>>,
    pub(super) options: Options,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self {
            qkv: self.qkv.clone(),
            out: self.out.clone(),
            log_normalizer: self.log_normalizer.clone(),
            documents: self.documents.clone(),
            options: self.options.clone(),
        }
    }
}

impl<B: AttentionKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(B::attention_backward(self, grad))]
    }
}

impl<B: AttentionKernels, S: CheckpointStrategy> AttentionOps for Autodiff<B, S> {
    fn attend(
        qkv: FloatTensor<Self>,
        documents: OptionalInts<Self>,
        options: Options,
    ) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        let documents = documents.into_option();
        let (out, log_normalizer) = B::attention_forward(qkv.clone(), documents.clone(), &options);
        record::<B, S, _>(vec![node], out.clone(), || Saved {
            qkv,
            out,
            log_normalizer,
            documents,
            options,
        })
    }
}
