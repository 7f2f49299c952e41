//! Linear projection with an optional bias and residual, `y = x Wᵀ + b + r`, and plain matrix products.
//!
//! Shapes: `N` rows, `I` input features, `O` output features.

mod blas;
mod cpu;
mod gelu;
mod gpu;
pub mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::autodiff::{Rule, record, split};
use super::check::Check;
use super::cost::{Cost, Costs};
use super::dispatch::{Optional, optional};

pub use gelu::linear_gelu;

/// Number of rows up to which a product is limited by reading the weight, so that it has kernels of its own.
const FEW_ROWS: usize = 8;

/// Returns `x Wᵀ + bias + residual` `[N, O]` of `x [N, I]`, `weight [O, I]` (PyTorch's layout), `bias [O]` and
/// `residual [N, O]`.
///
/// # Panics
/// If `x` or `weight` is empty, shapes do not fit, or the tensors differ in device or dtype.
///
/// ```
/// use blankslate::kernels::linear::linear;
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_data([[1.0, 2.0]], &device); // N = 1, I = 2
/// let weight = Tensor::from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &device); // O = 3
/// let bias = Tensor::from_data([0.5, 0.5, 0.5], &device);
/// let y = linear(x, weight, Some(bias), None);
/// assert_eq!(y.into_data().to_vec::<f32>().unwrap(), [1.5, 2.5, 3.5]);
/// ```
#[track_caller]
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<2>>,
) -> Tensor<2> {
    let check = Check("linear");
    let [n, o] = check_factors(check, &x, &weight, bias.as_ref());
    if let Some(residual) = &residual {
        check.shape("residual", residual, "[N, O]", [n, o]);
        check.alike(&x, "residual", residual);
    }
    Tensor::from_dispatch(Dispatch::project(
        x.into_dispatch(),
        weight.into_dispatch(),
        optional(bias),
        optional(residual),
    ))
}

/// Checks the arguments of a projection and returns `[N, O]`.
#[track_caller]
fn check_factors(
    check: Check,
    x: &Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> [usize; 2] {
    let ([n, i], [o, _]) = (x.dims(), weight.dims());
    check.float("x", x);
    check.not_empty("x", x);
    check.not_empty("weight", weight);
    check.shape("weight", weight, "[O, I]", [o, i]);
    check.alike(x, "weight", weight);
    if let Some(bias) = bias {
        check.shape("bias", bias, "[O]", [o]);
        check.alike(x, "bias", bias);
    }
    [n, o]
}

/// Returns the costs of projecting `N` rows of `I` numbers of `size` bytes to `O`, without a residual: one product forward, two
/// backward, which read both inputs and the gradient of the result.
pub fn costs([n, i, o]: [usize; 3], size: usize) -> Costs {
    let [n, i, o] = [n, i, o].map(|length| length as f64);
    let (inputs, result) = (n * i + o * i, n * o);
    let bytes = |numbers: f64| numbers * size as f64;
    let flops = 2.0 * n * i * o;
    Costs {
        forward: Cost { bytes: bytes(inputs + result), flops },
        backward: Cost { bytes: bytes(2.0 * inputs + result), flops: 2.0 * flops },
    }
}

/// Returns the matrix products `a b` of batches of matrices, `[.., M, K]` and `[.., K, N]` to `[.., M, N]`.
///
/// As `Tensor::matmul`, without broadcasting; but f32 is never rounded to TF32 unless
/// [`precision`](crate::kernels::precision::with_products_in) permits it.
///
/// # Panics
/// If a tensor is empty, shapes do not fit, or the tensors differ in device or dtype.
#[track_caller]
pub fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let check = Check("product");
    check.float("a", &a);
    check.not_empty("a", &a);
    check.not_empty("b", &b);
    let mut expected = a.dims();
    expected[D - 2] = a.dims()[D - 1];
    expected[D - 1] = b.dims()[D - 1];
    check.shape("b", &b, "[.., K, N]", expected);
    check.alike(&a, "b", &b);
    Tensor::from_dispatch(Dispatch::product(a.into_dispatch(), b.into_dispatch()))
}

/// The operations on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait LinearOps: Backend {
    /// See [`product`](fn@product).
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`linear`](fn@linear).
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        #[extension_type] residual: Optional<Self>,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait LinearKernels: LinearOps {
    /// Returns the gradient of the input, `grad W`: `[N, O], [O, I] -> [N, I]`.
    fn linear_input_grad(grad: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Returns the gradient of the weight, `gradᵀ x`, and with a bias the column sums of `grad`:
    /// `[N, O], [N, I] -> [O, I], [O]`.
    fn linear_weight_grad(
        grad: FloatTensor<Self>,
        x: FloatTensor<Self>,
        has_bias: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// State of the forward pass that the backward pass needs.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    /// Only if weight or bias are differentiated: a frozen projection keeps no activations in memory.
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

/// Factors of a [`product`].
#[derive(Debug)]
struct Factors<B: Backend>(FloatTensor<B>, FloatTensor<B>);

impl<B: Backend> Clone for Factors<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }
}

impl<B: LinearOps> Rule<B> for Factors<B> {
    fn gradients(self, grad: FloatTensor<B>, wanted: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let Self(a, b) = self;
        let of_a = wanted[0].then(|| B::product(grad.clone(), B::float_transpose(b)));
        let of_b = wanted[1].then(|| B::product(B::float_transpose(a), grad));
        vec![of_a, of_b]
    }
}

impl<B: LinearKernels, S: CheckpointStrategy> LinearOps for Autodiff<B, S> {
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let (a, a_node) = a.into_parts();
        let (b, b_node) = b.into_parts();
        let output = B::product(a.clone(), b.clone());
        record::<B, S, _>(vec![a_node, b_node], output, || Factors(a, b))
    }

    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FloatTensor<Self> {
        let bias = bias.into_option();
        let residual = residual.into_option();
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
