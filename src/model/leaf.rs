//! Differentiation in pieces: each begins at the gradient of its output and ends at a leaf.

use burn::tensor::{Gradients, Tensor};

/// A tensor at which differentiation ends.
pub fn leaf(tensor: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(tensor).require_grad()
}

/// The backward pass from `output`, whose gradient is `upstream`.
pub fn backward_from(output: Tensor<2>, upstream: Tensor<2>) -> Gradients {
    (output * Tensor::from_inner(upstream)).sum().backward()
}

/// Returns the gradient of a [`leaf`] that the output depends on.
pub fn gradient_of(leaf: &Tensor<2>, gradients: &mut Gradients) -> Tensor<2> {
    leaf.grad_remove(gradients).expect("the output depends on it")
}
