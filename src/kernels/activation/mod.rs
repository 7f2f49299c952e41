//! What stands between the two matrices of an MLP.

pub(super) mod cpu;
pub(super) mod gpu;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};

use super::autodiff::{Rule, record, split};
use super::optional::{Optional, optional};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// GELU in its tanh form (GPT-2).
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
    /// `relu(x)^2` (So et al. 2021).
    Relu2,
    /// `silu(gate) * x` (Shazeer 2020): the only one with a gate.
    Swiglu,
}

/// Applies `kind` to each element of `x [N, F]`, with `gate [N, F]` where it has one.
pub fn activation(x: Tensor<2>, gate: Option<Tensor<2>>, kind: Kind) -> Tensor<2> {
    let gate = optional(gate);
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), gate, kind))
}

/// [`activation`] in burn's own operations.
///
/// # Panics
/// If [`Kind::Swiglu`] comes without its gate.
pub fn reference(x: Tensor<2>, gate: Option<Tensor<2>>, kind: Kind) -> Tensor<2> {
    match kind {
        Kind::GeluTanh => gelu_approximate(x),
        Kind::GeluErf => gelu(x),
        Kind::Relu2 => {
            let positive = relu(x);
            positive.clone() * positive
        }
        Kind::Swiglu => silu(gate.expect("swiglu has a gate")) * x,
    }
}

/// What the model calls, on every backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait ActivationOps: Backend {
    /// See [`activation`](fn@activation).
    fn activate(
        x: FloatTensor<Self>,
        #[extension_type] gate: Optional<Self>,
        kind: Kind,
    ) -> FloatTensor<Self>;
}

/// What a backend brings along for it.
pub trait ActivationKernels: ActivationOps {
    /// Gradients of `x` and of the gate.
    fn activation_backward(
        x: FloatTensor<Self>,
        gate: Option<FloatTensor<Self>>,
        kind: Kind,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
}

/// What the backward pass needs of the forward pass: its inputs.
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
