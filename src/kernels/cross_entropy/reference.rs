//! The reference in burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, tanh};

use super::{Options, Targets};

/// [`head_losses`], whose sum `head_loss` is, in burn's own operations.
pub fn head_losses(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Targets,
    options: Options,
) -> Tensor<1> {
    let mut logits = x.matmul(weight.transpose());
    if let Some(cap) = options.soft_cap {
        logits = tanh(logits.div_scalar(cap)).mul_scalar(cap);
    }
    let targets = targets.ids;
    let counts = targets.clone().greater_equal_elem(0).float();
    let index = targets.clamp_min(0).unsqueeze_dim::<2>(1);
    let log_probability = log_softmax(logits.clone(), 1).gather(1, index.clone());
    let log_normalizer = logits.gather(1, index) - log_probability.clone();
    let rows = log_normalizer.powi_scalar(2).mul_scalar(options.z_loss) - log_probability;
    (rows.squeeze_dim::<1>(1) * counts).mul_scalar(options.scale)
}
