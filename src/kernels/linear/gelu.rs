//! Fused projection and GELU, which cuBLASLt computes in one operation.
//!
//! The sum before GELU is kept for the backward pass, as it is by two operations.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::{LinearKernels, check_factors};
use crate::kernels::activation::{ActivationKernels, Kind};
use crate::kernels::autodiff::{Rule, record, split};
use crate::kernels::check::Check;
use crate::kernels::dispatch::{Optional, optional};

/// Returns GELU, in its tanh form, of `x Wᵀ + bias` `[N, O]` of `x [N, I]`, `weight [O, I]` and `bias [O]`: on a device whose matrix
/// products apply it, in one operation.
///
/// # Panics
/// As [`linear`](fn@super::linear).
#[track_caller]
pub fn linear_gelu(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    check_factors(Check("linear_gelu"), &x, &weight, bias.as_ref());
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::project_gelu(x, weight, optional(bias)))
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait LinearGeluOps: Backend {
    /// See [`linear_gelu`](fn@super::linear_gelu).
    fn project_gelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
    ) -> FloatTensor<Self>;
}

/// Forward pass that keeps the sum for the backward pass.
pub trait LinearGeluKernels: LinearGeluOps + LinearKernels + ActivationKernels {
    /// Returns GELU of `x Wᵀ + bias`, and the sum itself.
    fn project_gelu_and_keep(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let sum = Self::project(x, weight, bias, Optional::Missing);
        (Self::activate(sum.clone(), Optional::Missing, Kind::GeluTanh), sum)
    }
}

/// State of the forward pass that the backward pass needs.
#[derive(Debug)]
struct Saved<B: Backend> {
    /// Only if weight or bias are differentiated.
    x: Option<FloatTensor<B>>,
    weight: FloatTensor<B>,
    has_bias: bool,
    /// `[N, O]`, before GELU.
    sum: FloatTensor<B>,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self {
            x: self.x.clone(),
            weight: self.weight.clone(),
            has_bias: self.has_bias,
            sum: self.sum.clone(),
        }
    }
}

impl<B: LinearGeluKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, wanted: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let (grad, _) = B::activation_backward(self.sum, None, Kind::GeluTanh, grad);
        let projection = super::Saved::<B> {
            x: self.x,
            weight: self.weight,
            has_bias: self.has_bias,
            has_residual: false,
        };
        projection.gradients(grad, wanted)
    }
}

impl<B: LinearGeluKernels, S: CheckpointStrategy> LinearGeluOps for Autodiff<B, S> {
    fn project_gelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
    ) -> FloatTensor<Self> {
        let bias = bias.into_option();
        let learns = weight.is_tracked() || bias.as_ref().is_some_and(|bias| bias.is_tracked());
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = split::<B, S>(bias);
        let inputs = [x_node, weight_node].into_iter().chain(bias_node).collect();
        let has_bias = bias.is_some();
        let kept = (learns.then(|| x.clone()), weight.clone());
        let (y, sum) = B::project_gelu_and_keep(x, weight, Optional::from_option(bias));
        record::<B, S, _>(inputs, y, || Saved { x: kept.0, weight: kept.1, has_bias, sum })
    }
}
