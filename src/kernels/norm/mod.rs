//! LayerNorm and RMSNorm over rows.
//!
//! Shapes: `N` rows of `C` channels.

mod cpu;
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

/// Normalizes each row of `x [N, C]`, then multiplies by `weight [C]` and adds `bias [C]`: LayerNorm (Ba et al. 2016),
/// or with `rms` RMSNorm (Zhang and Sennrich 2019). `eps` is added to the variance for numerical stability.
///
/// # Panics
/// If `x` is empty, shapes do not fit, or the tensors differ in device or dtype.
///
/// ```
/// use blankslate::kernels::norm::norm;
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_data([[3.0, -3.0]], &device);
/// let y = norm(x, Tensor::ones([2], &device), None, 0.0, true);
/// assert_eq!(y.into_data().to_vec::<f32>().unwrap(), [1.0, -1.0]);
/// ```
#[track_caller]
pub fn norm(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
    rms: bool,
) -> Tensor<2> {
    let check = Check("norm");
    let [_, c] = x.dims();
    check.float("x", &x);
    check.not_empty("x", &x);
    for (name, row) in [("weight", Some(&weight)), ("bias", bias.as_ref())] {
        if let Some(row) = row {
            check.shape(name, row, "[C]", [c]);
            check.alike(&x, name, row);
        }
    }
    let bias = optional(bias);
    Tensor::from_dispatch(Dispatch::normalize(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias,
        eps,
        rms,
    ))
}

/// Returns the costs of normalizing `[N, C]` numbers of `size` bytes. Backward, `x` and the gradient of the result are read, and
/// the gradient of `x` is written; weight and bias are negligible.
pub fn costs([n, c]: [usize; 2], size: usize) -> Costs {
    let numbers = n as f64 * c as f64;
    Costs::moved(2.0 * numbers, 3.0 * numbers, size)
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait NormOps: Backend {
    /// See [`norm`](fn@norm).
    fn normalize(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait NormKernels: NormOps {
    /// Returns the gradients of `x [N, C]`, `weight [C]` and the bias `[C]`, if there is one.
    fn norm_backward(
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// State of the forward pass that the backward pass needs: its inputs.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    pub(super) x: FloatTensor<B>,
    pub(super) weight: FloatTensor<B>,
    pub(super) has_bias: bool,
    pub(super) eps: f64,
    pub(super) rms: bool,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { x: self.x.clone(), weight: self.weight.clone(), ..*self }
    }
}

impl<B: NormKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let (x, weight, bias) = B::norm_backward(self, grad);
        vec![Some(x), Some(weight), bias]
    }
}

impl<B: NormKernels, S: CheckpointStrategy> NormOps for Autodiff<B, S> {
    fn normalize(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = split::<B, S>(bias.into_option());
        let inputs = [x_node, weight_node].into_iter().chain(bias_node).collect();
        let saved =
            Saved { x: x.clone(), weight: weight.clone(), has_bias: bias.is_some(), eps, rms };
        record::<B, S, _>(
            inputs,
            B::normalize(x, weight, Optional::from_option(bias), eps, rms),
            || saved,
        )
    }
}
