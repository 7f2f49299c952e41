//! The language-model head and its cross-entropy as one operation, so that the logits of all rows never exist at once.
//!
//! The gradients of the summed loss are computed in the forward pass, chunk by chunk, while a chunk's logits exist (as in
//! Liger Kernel, Hsu et al. 2024); the backward pass only scales them. Losses per row compute the logits a second time
//! instead.
//!
//! Shapes: `N` rows of `C` channels, vocabulary of `V`.

mod cpu;
mod gpu;
pub mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Int, Shape, Slice, Tensor, TensorData};

use super::autodiff::{Rule, record};
use super::check::Check;
use super::cost::{Cost, Costs};
use super::dispatch::Optional;
use super::linear::LinearKernels;
use crate::error::{Error, Result};

/// Logits that exist at a time: 64 MiB in f32.
pub const CHUNK: usize = 1 << 24;

/// Options of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Factor of each row; one over the number of targets gives the mean.
    pub scale: f32,
    /// Weight of the squared log-normalizer (de Brebisson & Vincent 2016; PaLM: 1e-4).
    pub z_loss: f32,
    /// Logit soft-capping, `cap * tanh(logit / cap)` (Gemma 2).
    pub soft_cap: Option<f32>,
}

/// Targets of the rows on a device. Made by [`Targets::new`], which checks them.
#[derive(Clone, Debug)]
pub struct Targets {
    /// `[N]`: negative for rows without a target.
    ids: Tensor<1, Int>,
    /// Size of the vocabulary they were checked for.
    vocab: usize,
}

impl Targets {
    /// Puts `targets`, one per row, on `device`. Rows whose target is `ignore_index` do not count.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] for another target that is `vocab` or more.
    pub fn new(targets: &[u32], ignore_index: u32, vocab: usize, device: &Device) -> Result<Self> {
        let outside = |id: &&u32| **id != ignore_index && **id as usize >= vocab;
        if let Some(id) = targets.iter().find(outside) {
            return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size: vocab });
        }
        let ids = targets.iter().map(|id| if *id == ignore_index { -1 } else { *id as i32 });
        let data = TensorData::new(ids.collect::<Vec<i32>>(), [targets.len()]);
        Ok(Self { ids: Tensor::from_data(data, (device, DType::I32)), vocab })
    }

    /// The ids, `[N]`: negative for rows without a target.
    pub fn ids(&self) -> Tensor<1, Int> {
        self.ids.clone()
    }
}

/// Returns `scale` times the sum over rows of `-log softmax(x Wᵀ)[target] + z_loss * log_normalizer²`, `[1]`, for
/// `x [N, C]`, `weight [V, C]` and one target per row. Rows without a target count 0.
///
/// # Panics
/// If `x` or `weight` is empty, shapes do not fit, the tensors differ in device or dtype, or the targets were checked for another vocabulary.
///
/// ```
/// use blankslate::kernels::cross_entropy::{Options, Targets, head_loss};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let x = Tensor::<2>::zeros([2, 3], &device);
/// let weight = Tensor::ones([4, 3], &device); // all four tokens are equally likely
/// let targets = Targets::new(&[1, u32::MAX], u32::MAX, 4, &device)?; // the second row is ignored
/// let loss = head_loss(x, weight, targets, Options { scale: 1.0, z_loss: 0.0, soft_cap: None });
/// assert!((loss.into_scalar::<f32>() - 4f32.ln()).abs() < 1e-6);
/// # Ok::<(), blankslate::error::Error>(())
/// ```
#[track_caller]
pub fn head_loss(x: Tensor<2>, weight: Tensor<2>, targets: Targets, options: Options) -> Tensor<1> {
    check(Check("head_loss"), &x, &weight, &targets);
    Tensor::from_dispatch(Dispatch::head_loss(
        x.into_dispatch(),
        weight.into_dispatch(),
        targets.ids.into_dispatch(),
        options,
    ))
}

/// Returns the terms that [`head_loss`] sums, `[N]`, for losses that are not a plain sum of them. The backward pass
/// computes the logits a second time, when the weight of each row is known.
///
/// # Panics
/// As [`head_loss`].
#[track_caller]
pub fn head_losses(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Targets,
    options: Options,
) -> Tensor<1> {
    check(Check("head_losses"), &x, &weight, &targets);
    Tensor::from_dispatch(Dispatch::head_losses(
        x.into_dispatch(),
        weight.into_dispatch(),
        targets.ids.into_dispatch(),
        options,
    ))
}

/// Returns `loss [1]`, which was computed elsewhere, as a function of `inputs`, the `x [N, C]` and `weight [V, C]` of
/// [`head_loss`] on an autodiff device. `gradients`, of the same shapes, are those of the loss. They are not on an autodiff
/// device, and neither is the loss.
///
/// # Panics
/// If shapes differ.
#[track_caller]
pub fn with_gradients(
    loss: Tensor<1>,
    inputs: [Tensor<2>; 2],
    gradients: [Tensor<2>; 2],
) -> Tensor<1> {
    let check = Check("with_gradients");
    let [x, weight] = inputs;
    check.shape("gradients[0]", &gradients[0], "[N, C]", x.dims());
    check.shape("gradients[1]", &gradients[1], "[V, C]", weight.dims());
    let [of_x, of_weight] = gradients.map(|gradient| gradient.autodiff().into_dispatch());
    Tensor::from_dispatch(Dispatch::with_gradients(
        loss.autodiff().into_dispatch(),
        x.into_dispatch(),
        weight.into_dispatch(),
        of_x,
        of_weight,
    ))
}

#[track_caller]
fn check(check: Check, x: &Tensor<2>, weight: &Tensor<2>, targets: &Targets) {
    let [n, c] = x.dims();
    let v = weight.dims()[0];
    check.float("x", x);
    check.not_empty("x", x);
    check.not_empty("weight", weight);
    check.shape("weight", weight, "[V, C]", [v, c]);
    check.alike(x, "weight", weight);
    check.shape("targets", &targets.ids, "[N]", [n]);
    check.same_device(x, "targets", &targets.ids);
    check.require(v == targets.vocab, || {
        format!(
            "`weight` has {v} rows, expected the {} that the targets were checked for",
            targets.vocab
        )
    });
}

/// Returns the costs of [`head_loss`] of `N` rows of `C` numbers of `size` bytes and a vocabulary of `V`: inputs are read, their
/// gradients written. Logits could stay on the chip, so only their products count: one forward, two backward.
pub fn costs([n, c]: [usize; 2], v: usize, size: usize) -> Costs {
    let [n, c, v] = [n, c, v].map(|length| length as f64);
    let bytes = (n * c + v * c) * size as f64;
    let flops = 2.0 * n * c * v;
    Costs { forward: Cost { bytes, flops }, backward: Cost { bytes, flops: 2.0 * flops } }
}

/// The operation on every backend, autodiff included.
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

    /// See [`with_gradients`](fn@with_gradients). Without differentiation, it is the loss.
    fn with_gradients(
        loss: FloatTensor<Self>,
        _x: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _of_x: FloatTensor<Self>,
        _of_weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        loss
    }
}

/// The gradients, which each backend implements.
pub trait CrossEntropyKernels: CrossEntropyOps + LinearKernels {
    /// Returns each row's loss `[N]`, multiplied by `weights [N]` if given, and with `want_grad` the gradient of their
    /// sum with respect to `logits [N, V]`, possibly in the logits' memory.
    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        weights: Option<FloatTensor<Self>>,
        options: Options,
        want_grad: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// Arguments of the loss.
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
        let x = x.clone();
        let weight = weight.clone();
        let targets = targets.clone();
        Self { x, weight, targets, options: *options }
    }
}

/// The gradients of `x` and `weight`, if wanted.
pub(super) type Gradients<B> = [Option<FloatTensor<B>>; 2];

/// Returns the sum of [`rows`], `[1]`, and its gradients with respect to `x` and `weight` if `wanted`.
pub(super) fn sum<B: CrossEntropyKernels>(
    inputs: Inputs<B>,
    wanted: [bool; 2],
) -> (FloatTensor<B>, Gradients<B>) {
    let (losses, gradients) = rows(inputs, None, wanted);
    (B::float_sum(losses), gradients)
}

/// Returns each row's loss `[N]`, multiplied by `weights [N]` if given, and the gradients of their sum with respect to
/// `x` and `weight` if `wanted`, computed a chunk of rows at a time.
pub(super) fn rows<B: CrossEntropyKernels>(
    inputs: Inputs<B>,
    weights: Option<FloatTensor<B>>,
    wanted: [bool; 2],
) -> (FloatTensor<B>, Gradients<B>) {
    let rows = inputs.x.shape()[0];
    let vocab = inputs.weight.shape()[0];
    let chunk = (CHUNK / vocab).max(1);
    if rows <= chunk {
        return rows_of_chunk(inputs, weights, wanted);
    }
    let mut losses = Vec::new();
    let mut x_grads = Vec::new();
    let mut weight_grad = None;
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

/// [`rows`] of a single chunk.
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

/// Gradients of the summed loss, to be multiplied by that of the output.
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

    fn with_gradients(
        loss: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        of_x: FloatTensor<Self>,
        of_weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = vec![x.into_parts().1, weight.into_parts().1];
        let gradients = [of_x, of_weight].map(|gradient| Some(gradient.into_parts().0));
        record::<B, S, _>(nodes, loss.into_parts().0, || Saved(gradients))
    }
}
