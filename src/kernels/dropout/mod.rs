//! Dropout whose mask is a hash of position and seed: computed again in the backward pass, never stored.

pub(super) mod cpu;
mod gpu;
pub mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::autodiff::{Rule, record, split};
use super::check::Check;
use super::cost::Costs;
use super::dispatch::{Optional, optional};

/// Probability and seed of a dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element is zeroed, in `0.0..1.0`.
    pub probability: f32,
    /// Seed of the mask, in which element `i` depends on the seed and `i` alone.
    pub seed: u32,
}

impl Dropout {
    /// An element is kept if its hash is at least this number.
    pub(super) fn threshold(&self) -> u32 {
        (f64::from(self.probability) * 2f64.powi(32)) as u32
    }

    /// Factor of the elements that are kept, which preserves the expectation.
    pub(super) fn scale(&self) -> f32 {
        1.0 / (1.0 - self.probability)
    }
}

/// Zeroes elements of `x [N, C]` at random and scales the others by `1 / (1 - probability)` (Srivastava et al. 2014),
/// then adds `residual [N, C]`.
///
/// # Panics
/// If `x` is empty, the residual differs in shape, device or dtype, or the probability is outside `0.0..1.0`.
///
/// ```
/// use blankslate::kernels::dropout::{Dropout, dropout};
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<2>::ones([1, 64], &Device::flex());
/// let y = dropout(x, None, Dropout { probability: 0.5, seed: 1 });
/// let y = y.into_data().to_vec::<f32>().unwrap();
/// assert!(y.iter().all(|y| *y == 0.0 || *y == 2.0));
/// ```
#[track_caller]
pub fn dropout(x: Tensor<2>, residual: Option<Tensor<2>>, dropout: Dropout) -> Tensor<2> {
    let check = Check("dropout");
    check.float("x", &x);
    check.not_empty("x", &x);
    check.require((0.0..1.0).contains(&dropout.probability), || {
        format!("`probability` is {}, expected a number in 0.0..1.0", dropout.probability)
    });
    if let Some(residual) = &residual {
        check.shape("residual", residual, "[N, C]", x.dims());
        check.alike(&x, "residual", residual);
    }
    let residual = optional(residual);
    Tensor::from_dispatch(Dispatch::drop_out(x.into_dispatch(), residual, dropout))
}

/// Returns the costs of dropout on `[N, C]` numbers of `size` bytes without a residual. The mask is computed, not read.
pub fn costs([n, c]: [usize; 2], size: usize) -> Costs {
    let numbers = n as f64 * c as f64;
    Costs::moved(2.0 * numbers, 2.0 * numbers, size)
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait DropoutOps: Backend {
    /// See [`dropout`](fn@dropout).
    fn drop_out(
        x: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self>;
}

/// State for the backward pass, which computes the mask again.
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
