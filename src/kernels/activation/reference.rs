//! The reference in burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};

use super::Kind;

/// [`activation`](fn@super::activation) in burn's own operations.
///
/// # Panics
/// If [`Kind::Swiglu`] comes without its gate.
pub fn activation(x: Tensor<2>, gate: Option<Tensor<2>>, kind: Kind) -> Tensor<2> {
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
