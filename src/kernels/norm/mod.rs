//! LayerNorm and RMSNorm over rows.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Tensor, module::layer_norm};

use super::autodiff::{Rule, record, split};
use super::optional::{Optional, optional};

/// Normalizes each row of `x [N, C]`, then multiplies by `weight [C]` and adds `bias [C]`: LayerNorm (Ba et
/// al. 2016), or with `rms` RMSNorm (Zhang and Sennrich 2019).
pub fn norm(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
    rms: bool,
) -> Tensor<2> {
    let bias = optional(bias);
    Tensor::from_dispatch(Dispatch::normalize(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias,
        eps,
        rms,
    ))
}

/// [`norm`] in burn's own operations.
pub fn reference(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
    rms: bool,
) -> Tensor<2> {
    if !rms {
        return layer_norm(x, weight, bias, eps);
    }
    let scale = (x.clone() * x.clone()).mean_dim(1).add_scalar(eps).sqrt().recip();
    let y = x * scale * weight.unsqueeze::<2>();
    match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    }
}

/// What the model calls, on every backend.
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

/// What a backend brings along for it.
pub trait NormKernels: NormOps {
    /// Gradients of `x`, `weight` and, if there is one, the bias.
    fn norm_backward(
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// What the backward pass needs of the forward pass: its inputs.
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
