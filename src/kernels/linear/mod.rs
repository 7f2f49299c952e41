//! Projections, with bias and residual added on the way.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::autodiff::{Rule, record, split};
use super::optional::{Optional, optional};

/// Rows up to which a product takes as long as reading the weight does, and is computed accordingly.
const FEW_ROWS: usize = 8;

/// `x W^T + bias + residual`: `x [N, I]`, `weight [O, I]` as PyTorch has it, `bias [O]`, `residual [N, O]`.
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project(
        x.into_dispatch(),
        weight.into_dispatch(),
        optional(bias),
        optional(residual),
    ))
}

/// [`linear`] in burn's own operations.
pub fn reference(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
) -> Tensor<2> {
    let mut y = x.matmul(weight.transpose());
    if let Some(bias) = bias {
        y = y + bias.unsqueeze::<2>();
    }
    match residual {
        Some(residual) => y + residual,
        None => y,
    }
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait LinearOps: Backend {
    /// See [`linear`](fn@linear).
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        #[extension_type] residual: Optional<Self>,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait LinearKernels: LinearOps {
    /// `grad W`: `[N, O], [O, I] -> [N, I]`.
    fn linear_input_grad(grad: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `grad^T x` and, with a bias, the column sums of `grad`: `[N, O], [N, I] -> [O, I], [O]`.
    fn linear_weight_grad(
        grad: FloatTensor<Self>,
        x: FloatTensor<Self>,
        has_bias: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// What the backward pass needs of the forward pass.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    /// Only where weight or bias are differentiated: a frozen projection keeps nothing of its input in memory.
    x: Option<FloatTensor<B>>,
    weight: FloatTensor<B>,
    has_bias: bool,
    has_residual: bool,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { x: self.x.clone(), weight: self.weight.clone(), ..*self }
    }
}

impl<B: LinearKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, wanted: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let x = wanted[0].then(|| B::linear_input_grad(grad.clone(), self.weight));
        let (weight, bias) = match self.x {
            Some(x) => {
                let (weight, bias) = B::linear_weight_grad(grad.clone(), x, self.has_bias);
                (Some(weight), bias)
            }
            None => (None, None),
        };
        let mut all = vec![x, weight];
        if self.has_bias {
            all.push(bias);
        }
        if self.has_residual {
            all.push(Some(grad));
        }
        all
    }
}

impl<B: LinearKernels, S: CheckpointStrategy> LinearOps for Autodiff<B, S> {
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option(), residual.into_option());
        let learns = weight.is_tracked() || bias.as_ref().is_some_and(|bias| bias.is_tracked());
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = split::<B, S>(bias);
        let (residual, residual_node) = split::<B, S>(residual);
        let inputs =
            [x_node, weight_node].into_iter().chain(bias_node).chain(residual_node).collect();
        let saved = Saved {
            x: learns.then(|| x.clone()),
            weight: weight.clone(),
            has_bias: bias.is_some(),
            has_residual: residual.is_some(),
        };
        record::<B, S, _>(
            inputs,
            B::project(x, weight, Optional::from_option(bias), Optional::from_option(residual)),
            || saved,
        )
    }
}
