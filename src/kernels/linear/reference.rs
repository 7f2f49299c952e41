//! The reference in burn's own operations.

use burn::tensor::Tensor;

/// [`linear`](fn@super::linear) in burn's own operations.
pub fn linear(
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
