//! The head and its cross-entropy as one operation, so that the logits of all rows never stand in memory
//! together.
//!
//! The gradients are computed in the forward pass, chunk by chunk, while a chunk's logits are at hand (as
//! Hsu et al. 2024, "Liger kernel"); the backward pass only scales them.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Int, Shape, Slice, Tensor};

use super::autodiff::{Rule, record};
use super::linear::LinearKernels;
use super::optional::Optional;

/// Logits that may stand in memory at a time: 64 MiB in f32.
const CHUNK: usize = 1 << 24;

/// What is summed over the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Weight of each row that counts; one over their number gives the mean.
    pub scale: f32,
    /// Weight of the squared logarithm of the normalizer (de Brebisson & Vincent 2016; PaLM: 1e-4).
    pub z_loss: f32,
    /// `cap * tanh(logit / cap)` (Gemma 2).
    pub soft_cap: Option<f32>,
}

/// `scale` times the sum over rows of `-log softmax(x W^T)[target] + z_loss * log_normalizer^2`, `[1]`, for
/// `x [N, C]`, `weight [V, C]`, and `targets [N]`, negative where none counts.
pub fn head_loss(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    options: Options,
) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::head_loss(
        x.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        options,
    ))
}

/// [`head_loss`] in burn's own operations.
pub fn reference(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    options: Options,
) -> Tensor<1> {
    let mut logits = x.matmul(weight.transpose());
    if let Some(cap) = options.soft_cap {
        logits = tanh(logits.div_scalar(cap)).mul_scalar(cap);
    }
    let counts = targets.clone().greater_equal_elem(0).float();
    let index = targets.clamp_min(0).unsqueeze_dim::<2>(1);
    let log_probability = log_softmax(logits.clone(), 1).gather(1, index.clone());
    let log_normalizer = logits.gather(1, index) - log_probability.clone();
    let rows = log_normalizer.powi_scalar(2).mul_scalar(options.z_loss) - log_probability;
    (rows.squeeze_dim::<1>(1) * counts).sum().mul_scalar(options.scale)
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait CrossEntropyOps: Backend {
    /// See [`head_loss`](fn@head_loss).
    fn head_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait CrossEntropyKernels: CrossEntropyOps + LinearKernels {
    /// Each row's loss `[N]` and, if wanted, the gradient of their sum by `logits [N, V]`, which may take
    /// the place of the logits.
    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
        want_grad: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// The gradients of `x` and `weight`.
pub(super) type Gradients<B> = (FloatTensor<B>, FloatTensor<B>);

/// Loss and, if wanted, gradients, a chunk of rows at a time.
pub(super) fn forward<B: CrossEntropyKernels>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    options: Options,
    want_grad: bool,
) -> (FloatTensor<B>, Option<Gradients<B>>) {
    let (rows, vocab) = (x.shape()[0], weight.shape()[0]);
    let chunk = (CHUNK / vocab).max(1);
    if rows <= chunk {
        let (losses, gradients) = forward_chunk::<B>(x, weight, targets, options, want_grad);
        return (B::float_sum(losses), gradients);
    }
    let (mut losses, mut x_grads, mut weight_grad) = (Vec::new(), Vec::new(), None);
    for start in (0..rows).step_by(chunk) {
        let range = Slice::from(start..rows.min(start + chunk));
        let x = B::float_slice(x.clone(), &[range, Slice::full()]);
        let targets = B::int_slice(targets.clone(), &[range]);
        let (loss, gradients) = forward_chunk::<B>(x, weight.clone(), targets, options, want_grad);
        losses.push(B::float_sum(loss));
        if let Some((x_grad, grad)) = gradients {
            x_grads.push(x_grad);
            weight_grad = Some(match weight_grad {
                Some(sum) => B::float_add(sum, grad),
                None => grad,
            });
        }
    }
    let loss = B::float_sum(B::float_cat(losses, 0));
    (loss, weight_grad.map(|grad| (B::float_cat(x_grads, 0), grad)))
}

/// Every row's loss, and the chunk's gradients.
fn forward_chunk<B: CrossEntropyKernels>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    options: Options,
    want_grad: bool,
) -> (FloatTensor<B>, Option<Gradients<B>>) {
    let logits = B::project(x.clone(), weight.clone(), Optional::Missing, Optional::Missing);
    let (losses, grad) = B::cross_entropy_rows(logits, targets, options, want_grad);
    let gradients = grad.map(|grad| {
        let x_grad = B::linear_input_grad(grad.clone(), weight);
        (x_grad, B::linear_weight_grad(grad, x, false).0)
    });
    (losses, gradients)
}

/// The gradients for a loss that counts once.
#[derive(Debug)]
struct Saved<B: Backend>(Gradients<B>);

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Backend> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let (x, weight) = self.0;
        let grad = B::float_reshape(grad, Shape::new([1, 1]));
        // The loss is f32 whatever the logits are.
        let grad = B::float_cast(grad, x.dtype().into());
        [x, weight].map(|gradient| Some(B::float_mul(gradient, grad.clone()))).into()
    }
}

impl<B: CrossEntropyKernels, S: CheckpointStrategy> CrossEntropyOps for Autodiff<B, S> {
    fn head_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
    ) -> FloatTensor<Self> {
        let want_grad = x.is_tracked() || weight.is_tracked();
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (loss, gradients) = forward::<B>(x, weight, targets, options, want_grad);
        record::<B, S, _>(vec![x_node, weight_node], loss, || {
            Saved(gradients.expect("computed because an input is tracked"))
        })
    }
}
