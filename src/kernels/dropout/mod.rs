//! Dropout whose mask is computed where it is needed instead of being stored.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Tensor, TensorData};

use super::autodiff::{Rule, record, split};
use super::optional::{Optional, optional};

/// How much is dropped, and which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Chance of each element, in `0.0..1.0`.
    pub probability: f32,
    /// Element `i` is dropped or not as a pure function of this and `i`.
    pub seed: u32,
}

impl Dropout {
    /// An element is kept if its hash is at least this.
    pub(super) fn threshold(&self) -> u32 {
        (f64::from(self.probability) * 2f64.powi(32)) as u32
    }

    /// What a kept element is multiplied by, so that the expectation stays.
    pub(super) fn scale(&self) -> f32 {
        1.0 / (1.0 - self.probability)
    }
}

/// Zeroes elements of `x [N, C]` and scales up the others (Srivastava et al. 2014), then adds `residual`.
pub fn dropout(x: Tensor<2>, residual: Option<Tensor<2>>, dropout: Dropout) -> Tensor<2> {
    let residual = optional(residual);
    Tensor::from_dispatch(Dispatch::drop_out(x.into_dispatch(), residual, dropout))
}

/// [`dropout`] without a residual, in burn's own operations, the mask coming from the host.
pub fn reference<const N: usize>(x: Tensor<N>, dropout: Dropout) -> Tensor<N> {
    let shape = x.shape();
    let count = shape.num_elements() as u32;
    let factors: Vec<f32> = (0..count).map(|i| factor(i, dropout)).collect();
    let mask = Tensor::from_data(TensorData::new(factors, shape), &x.device());
    x * mask
}

/// What element `i` is multiplied by: zero, or what keeps the expectation. The hash is `lowbias32` (Wellons 2018).
pub fn factor(i: u32, dropout: Dropout) -> f32 {
    let mut x = i ^ dropout.seed.wrapping_mul(0x9E37_79B9);
    x ^= x >> 16;
    x = x.wrapping_mul(0x21F0_AAAD);
    x ^= x >> 15;
    x = x.wrapping_mul(0x735A_2D97);
    x ^= x >> 15;
    if x >= dropout.threshold() { dropout.scale() } else { 0.0 }
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait DropoutOps: Backend {
    /// See [`dropout`](fn@dropout).
    fn drop_out(
        x: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self>;
}

/// The backward pass repeats the mask: it needs no more than how the mask is made.
#[derive(Clone, Debug)]
struct Saved {
    dropout: Dropout,
    has_residual: bool,
}

impl<B: DropoutOps> Rule<B> for Saved {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let x = B::drop_out(grad.clone(), Optional::Missing, self.dropout);
        if self.has_residual { vec![Some(x), Some(grad)] } else { vec![Some(x)] }
    }
}

impl<B: DropoutOps, S: CheckpointStrategy> DropoutOps for Autodiff<B, S> {
    fn drop_out(
        x: FloatTensor<Self>,
        residual: Optional<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (residual, residual_node) = split::<B, S>(residual.into_option());
        let inputs = [x_node].into_iter().chain(residual_node).collect();
        let saved = Saved { dropout, has_residual: residual.is_some() };
        record::<B, S, _>(inputs, B::drop_out(x, Optional::from_option(residual), dropout), || {
            saved
        })
    }
}
