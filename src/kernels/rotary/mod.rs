//! Rotary positions, applied while queries, keys and values are laid side by side for attention.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::autodiff::{Rule, record};
use super::optional::{Optional, optional};

/// The shape of the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// `H`, query heads.
    pub query: usize,
    /// `K`, key and value heads.
    pub kv: usize,
    /// `D`, numbers per head.
    pub dim: usize,
}

/// Cosines and sines of the positions, `[T, D / 2]` each: what a rotation is made of.
pub type Table = (Tensor<2>, Tensor<2>);

/// Lays `q [N, H D]`, `k [N, K D]` and `v [N, K D]` side by side, `[N, (H + 2 K) D]`, rotating the halves of
/// each query and key head against each other (Su et al. 2021, as Hugging Face's Llama does it). Row `n`
/// has position `n mod T`. Without a table nothing is rotated.
pub fn pack(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    table: Option<Table>,
    heads: Heads,
) -> Tensor<2> {
    let (cos, sin) = table.unzip();
    Tensor::from_dispatch(Dispatch::rotary_pack(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        optional(cos),
        optional(sin),
        heads,
    ))
}

/// Rotates the queries and keys of `qkv [N, (H + 2 K) D]`, which lie side by side already.
pub fn rotate(qkv: Tensor<2>, (cos, sin): Table, heads: Heads) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rotary_rotate(
        qkv.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        heads,
        false,
    ))
}

/// [`pack`] in burn's own operations.
pub fn reference(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    table: Option<Table>,
    heads: Heads,
) -> Tensor<2> {
    let turn = |x: Tensor<2>, count: usize| {
        let Some((cos, sin)) = &table else { return x };
        let ([rows, width], [tokens, half]) = (x.dims(), cos.dims());
        let x = x.reshape([rows / tokens, tokens, count, 2 * half]);
        let row = |table: &Tensor<2>| table.clone().reshape([1, tokens, 1, half]);
        let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let turned = vec![
            first.clone() * row(cos) - second.clone() * row(sin),
            second * row(cos) + first * row(sin),
        ];
        Tensor::cat(turned, 3).reshape([rows, width])
    };
    Tensor::cat(vec![turn(q, heads.query), turn(k, heads.kv), v], 1)
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait RotaryOps: Backend {
    /// See [`pack`].
    fn rotary_pack(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        #[extension_type] cos: Optional<Self>,
        #[extension_type] sin: Optional<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;

    /// See [`rotate`]; `inverse` turns the other way.
    fn rotary_rotate(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: Heads,
        inverse: bool,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait RotaryKernels: RotaryOps {
    /// Undoes [`pack`]: the gradients of queries, keys and values.
    fn rotary_unpack(
        qkv: FloatTensor<Self>,
        table: Option<(FloatTensor<Self>, FloatTensor<Self>)>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What the backward passes need of the forward passes.
#[derive(Debug)]
struct Saved<B: Backend> {
    table: Option<(FloatTensor<B>, FloatTensor<B>)>,
    heads: Heads,
    packed: bool,
    inverse: bool,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), ..*self }
    }
}

impl<B: RotaryKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        match (self.packed, self.table) {
            // A rotation's transpose turns back.
            (true, Some((cos, sin))) => {
                vec![Some(B::rotary_rotate(grad, cos, sin, self.heads, !self.inverse))]
            }
            (_, table) => {
                let (q, k, v) = B::rotary_unpack(grad, table, self.heads);
                vec![Some(q), Some(k), Some(v)]
            }
        }
    }
}

impl<B: RotaryKernels, S: CheckpointStrategy> RotaryOps for Autodiff<B, S> {
    fn rotary_pack(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        let (q, q_node) = q.into_parts();
        let (k, k_node) = k.into_parts();
        let (v, v_node) = v.into_parts();
        let cos = cos.into_option().map(|cos| cos.into_primitive());
        let sin = sin.into_option().map(|sin| sin.into_primitive());
        let table = cos.clone().zip(sin.clone());
        let [cos, sin] = [cos, sin].map(Optional::from_option);
        let packed = B::rotary_pack(q, k, v, cos, sin, heads);
        record::<B, S, _>(vec![q_node, k_node, v_node], packed, || Saved {
            table,
            heads,
            packed: false,
            inverse: false,
        })
    }

    fn rotary_rotate(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: Heads,
        inverse: bool,
    ) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        let table = Some((cos.clone(), sin.clone()));
        let turned = B::rotary_rotate(qkv, cos, sin, heads, inverse);
        record::<B, S, _>(vec![node], turned, || Saved { table, heads, packed: true, inverse })
    }
}
