//! Activation functions of the MLP.
//!
//! Shapes: `N` rows of `F` features.

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

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// GELU, tanh approximation (GPT-2).
    GeluTanh,
    /// GELU, exact: with the error function.
    GeluErf,
    /// `relu(x)^2` (So et al. 2021).
    Relu2,
    /// `silu(gate) * x` (Shazeer 2020). The only one with a gate.
    Swiglu,
}

/// Applies `kind` to each element of `x [N, F]`, with `gate [N, F]` if it has one.
///
/// # Panics
/// If `x` is empty; if a gate is missing, is given for a kind without one, or differs from `x` in shape, device or dtype.
///
/// ```
/// use blankslate::kernels::activation::{Kind, activation};
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<2>::from_data([[-1.0, 3.0]], &Device::flex());
/// let y = activation(x, None, Kind::Relu2);
/// assert_eq!(y.into_data().to_vec::<f32>().unwrap(), [0.0, 9.0]);
/// ```
#[track_caller]
pub fn activation(x: Tensor<2>, gate: Option<Tensor<2>>, kind: Kind) -> Tensor<2> {
    let check = Check("activation");
    check.float("x", &x);
    check.not_empty("x", &x);
    check.require(gate.is_some() == (kind == Kind::Swiglu), || {
        format!("{kind:?} with a gate: {}; only Swiglu has one, and needs it", gate.is_some())
    });
    if let Some(gate) = &gate {
        check.shape("gate", gate, "[N, F]", x.dims());
        check.alike(&x, "gate", gate);
    }
    let gate = optional(gate);
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), gate, kind))
}

/// Returns the costs of `kind` on `[N, F]` numbers of `size` bytes. The backward pass reads the inputs and the gradient of the
/// result, and writes those of the inputs.
pub fn costs([n, f]: [usize; 2], kind: Kind, size: usize) -> Costs {
    let numbers = n as f64 * f as f64;
    let inputs = if kind == Kind::Swiglu { 2.0 } else { 1.0 };
    Costs::moved((inputs + 1.0) * numbers, (2.0 * inputs + 1.0) * numbers, size)
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait ActivationOps: Backend {
    /// See [`activation`](fn@activation).
    fn activate(
        x: FloatTensor<Self>,
        #[extension_type] gate: Optional<Self>,
        kind: Kind,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait ActivationKernels: ActivationOps {
    /// Returns the gradients of `x` and of the gate.
    fn activation_backward(
        x: FloatTensor<Self>,
        gate: Option<FloatTensor<Self>>,
        kind: Kind,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// State of the forward pass that the backward pass needs: its inputs.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    x: FloatTensor<B>,
    gate: Option<FloatTensor<B>>,
    kind: Kind,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { x: self.x.clone(), gate: self.gate.clone(), kind: self.kind }
    }
}

impl<B: ActivationKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        let (x, gate) = B::activation_backward(self.x, self.gate, self.kind, grad);
        vec![Some(x), gate]
    }
}

impl<B: ActivationKernels, S: CheckpointStrategy> ActivationOps for Autodiff<B, S> {
    fn activate(x: FloatTensor<Self>, gate: Optional<Self>, kind: Kind) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (gate, gate_node) = split::<B, S>(gate.into_option());
        let inputs = [x_node].into_iter().chain(gate_node).collect();
        let saved = Saved { x: x.clone(), gate: gate.clone(), kind };
        record::<B, S, _>(inputs, B::activate(x, Optional::from_option(gate), kind), || saved)
    }
}
