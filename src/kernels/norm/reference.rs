//! The reference in burn's own operations.

use burn::tensor::{Tensor, module::layer_norm};

/// [`norm`](fn@super::norm) in burn's own operations.
pub fn norm(
    x: Tensor<2>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
    rms: bool,
) -> Tensor<2> {
    if !rms {
        return layer_norm(x, weight, bias, eps);
    }
    let scale = (x.clone() * x.clone()).mean_dim(1).add_scalar(eps).sqrt().recip();
    let y = x * scale * weight.unsqueeze::<2>();
    match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    }
}
