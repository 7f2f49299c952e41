//! Rows of a table, and the sum of gradients back into it.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::autodiff::{Rule, record};

/// Token ids on a device, and the order in which equal ids stand together.
#[derive(Clone, Debug)]
pub struct Ids {
    /// `[N]`
    ids: Tensor<1, Int>,
    /// `[N]`: places in `ids`, sorted by the id there; equal ids keep their order.
    order: Tensor<1, Int>,
}

impl Ids {
    /// Puts `ids` on `device`. They must be inside the table they are meant for.
    pub fn new(ids: &[u32], device: &Device) -> Self {
        let mut order: Vec<i32> = (0..ids.len() as i32).collect();
        order.sort_by_key(|place| ids[*place as usize]);
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let tensor = |values: Vec<i32>| {
            let len = values.len();
            Tensor::from_data(TensorData::new(values, [len]), device)
        };
        Self { ids: tensor(ids), order: tensor(order) }
    }
}

/// Rows `ids [N]` of `table [V, C]`: `[N, C]`.
pub fn embedding(table: Tensor<2>, ids: Ids) -> Tensor<2> {
    let Ids { ids, order } = ids;
    Tensor::from_dispatch(Dispatch::look_up(
        table.into_dispatch(),
        ids.into_dispatch(),
        order.into_dispatch(),
    ))
}

/// [`embedding`] in burn's own operations.
pub fn reference(table: Tensor<2>, ids: Ids) -> Tensor<2> {
    table.select(0, ids.ids)
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait EmbeddingOps: Backend {
    /// See [`embedding`](fn@embedding).
    fn look_up(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        order: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait EmbeddingKernels: EmbeddingOps {
    /// The gradient of the table, `[V, C]`: each row the sum of the gradients of its uses, in their order.
    fn look_up_backward(saved: Saved<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    pub(super) ids: IntTensor<B>,
    pub(super) order: IntTensor<B>,
    pub(super) vocab: usize,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone(), order: self.order.clone(), vocab: self.vocab }
    }
}

impl<B: EmbeddingKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(B::look_up_backward(self, grad))]
    }
}

impl<B: EmbeddingKernels, S: CheckpointStrategy> EmbeddingOps for Autodiff<B, S> {
    fn look_up(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        order: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
        let (table, node) = table.into_parts();
        let saved = Saved { ids: ids.clone(), order: order.clone(), vocab: table.shape()[0] };
        record::<B, S, _>(vec![node], B::look_up(table, ids, order), || saved)
    }
}
