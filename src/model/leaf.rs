//! Backward passes through segments of a model, from the gradient of the output to a leaf.

use burn::tensor::{Gradients, Tensor};

/// Detaches `tensor` from its graph and makes it a leaf, whose gradient is computed.
pub fn leaf(tensor: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(tensor).require_grad()
}

/// Runs the backward pass from `output`, whose gradient is `upstream`.
pub fn backward_from(output: Tensor<2>, upstream: Tensor<2>) -> Gradients {
    (output * Tensor::from_inner(upstream)).sum().backward()
}

/// Takes the gradient of a [`leaf`] that the output depends on.
pub fn gradient_of(leaf: &Tensor<2>, gradients: &mut Gradients) -> Tensor<2> {
    leaf.grad_remove(gradients).expect("the output depends on it")
}
