//! The head and its cross-entropy as one operation, so that the logits of all rows never stand in memory
//! together.
//!
//! The gradients of the sum are computed in the forward pass, chunk by chunk, while a chunk's logits are at hand
//! (as Hsu et al. 2024, "Liger kernel"); the backward pass only scales them. What depends on rows one by one
//! computes the logits a second time instead.

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

/// What [`head_loss`] sums, row by row: `[N]`, 0 where no target counts. For losses that are no plain sum of these:
/// the logits are computed again in the backward pass, where it is known how much each row counts.
pub fn head_losses(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    options: Options,
) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::head_losses(
        x.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        options,
    ))
}

/// [`head_losses`], whose sum [`head_loss`] is, in burn's own operations.
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
    (rows.squeeze_dim::<1>(1) * counts).mul_scalar(options.scale)
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

    /// See [`head_losses`](fn@head_losses).
    fn head_losses(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait CrossEntropyKernels: CrossEntropyOps + LinearKernels {
    /// Each row's loss `[N]`, times its weight in `weights [N]` if there are any, and, if wanted, the gradient of
    /// their sum by `logits [N, V]`, which may take the place of the logits.
    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: Option<FloatTensor<Self>>,
        options: Options,
        want_grad: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// What losses and their gradients are computed from.
#[derive(Debug)]
pub(super) struct Inputs<B: Backend> {
    /// `[N, C]`
    pub(super) x: FloatTensor<B>,
    /// `[V, C]`
    pub(super) weight: FloatTensor<B>,
    /// `[N]`
    pub(super) targets: IntTensor<B>,
    pub(super) options: Options,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Inputs<B> {
    fn clone(&self) -> Self {
        let Self { x, weight, targets, options } = self;
        let (x, weight, targets) = (x.clone(), weight.clone(), targets.clone());
        Self { x, weight, targets, options: *options }
    }
}

/// The gradients of `x` and `weight`, as far as they are wanted.
pub(super) type Gradients<B> = [Option<FloatTensor<B>>; 2];

/// The sum of [`rows`], `[1]`, and its gradients by `x` and `weight` where they are `wanted`.
pub(super) fn sum<B: CrossEntropyKernels>(
    inputs: Inputs<B>,
    wanted: [bool; 2],
) -> (FloatTensor<B>, Gradients<B>) {
    let (losses, gradients) = rows(inputs, None, wanted);
    (B::float_sum(losses), gradients)
}

/// Every row's loss `[N]`, times its weight in `weights [N]` if there are any, and the gradients of their sum by `x` and
/// `weight` where they are `wanted`, a chunk of rows at a time.
pub(super) fn rows<B: CrossEntropyKernels>(
    inputs: Inputs<B>,
    weights: Option<FloatTensor<B>>,
    wanted: [bool; 2],
) -> (FloatTensor<B>, Gradients<B>) {
    let (rows, vocab) = (inputs.x.shape()[0], inputs.weight.shape()[0]);
    let chunk = (CHUNK / vocab).max(1);
    if rows <= chunk {
        return rows_of_chunk(inputs, weights, wanted);
    }
    let (mut losses, mut x_grads, mut weight_grad) = (Vec::new(), Vec::new(), None);
    for start in (0..rows).step_by(chunk) {
        let range = Slice::from(start..rows.min(start + chunk));
        let Inputs { x, weight, targets, options } = inputs.clone();
        let x = B::float_slice(x, &[range, Slice::full()]);
        let targets = B::int_slice(targets, &[range]);
        let weights = weights.clone().map(|weights| B::float_slice(weights, &[range]));
        let part = Inputs { x, weight, targets, options };
        let (loss, [x_grad, grad]) = rows_of_chunk::<B>(part, weights, wanted);
        losses.push(loss);
        x_grads.extend(x_grad);
        weight_grad = match (weight_grad, grad) {
            (Some(sum), Some(grad)) => Some(B::float_add(sum, grad)),
            (None, grad) => grad,
            (sum, None) => sum,
        };
    }
    let x_grad = wanted[0].then(|| B::float_cat(x_grads, 0));
    (B::float_cat(losses, 0), [x_grad, weight_grad])
}

/// [`rows`] of one chunk.
fn rows_of_chunk<B: CrossEntropyKernels>(
    Inputs { x, weight, targets, options }: Inputs<B>,
    weights: Option<FloatTensor<B>>,
    wanted: [bool; 2],
) -> (FloatTensor<B>, Gradients<B>) {
    let want_grad = wanted.contains(&true);
    let logits = B::project(x.clone(), weight.clone(), Optional::Missing, Optional::Missing);
    let (losses, grad) = B::cross_entropy_rows(logits, targets, weights, options, want_grad);
    let of_x = grad.clone().filter(|_| wanted[0]);
    let x_grad = of_x.map(|grad| B::linear_input_grad(grad, weight));
    let of_weight = grad.filter(|_| wanted[1]);
    (losses, [x_grad, of_weight.map(|grad| B::linear_weight_grad(grad, x, false).0)])
}

/// The gradients for a loss that counts once.
#[derive(Debug)]
struct Saved<B: Backend>(Gradients<B>);

impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Backend> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let grad = B::float_reshape(grad, Shape::new([1, 1]));
        // The loss is f32 whatever the logits are.
        let scaled = |gradient: FloatTensor<B>| {
            let grad = B::float_cast(grad.clone(), gradient.dtype().into());
            B::float_mul(gradient, grad)
        };
        self.0.map(|gradient| gradient.map(scaled)).into()
    }
}

impl<B: CrossEntropyKernels> Rule<B> for Inputs<B> {
    fn gradients(self, grad: FloatTensor<B>, wanted: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        rows(self, Some(grad), [wanted[0], wanted[1]]).1.into()
    }
}

impl<B: CrossEntropyKernels, S: CheckpointStrategy> CrossEntropyOps for Autodiff<B, S> {
    fn head_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
    ) -> FloatTensor<Self> {
        let wanted = [x.is_tracked(), weight.is_tracked()];
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (loss, gradients) = sum(Inputs::<B> { x, weight, targets, options }, wanted);
        record::<B, S, _>(vec![x_node, weight_node], loss, || Saved(gradients))
    }

    fn head_losses(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: Options,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let inputs = Inputs::<B> { x, weight, targets, options };
        let (losses, _) = rows(inputs.clone(), None, [false; 2]);
        record::<B, S, _>(vec![x_node, weight_node], losses, || inputs)
    }
}
