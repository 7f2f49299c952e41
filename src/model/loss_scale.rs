//! Loss scaling: keeps small gradients representable in f16 (Micikevicius et al. 2018).

use burn::tensor::{Gradients, Tensor};

use super::LossOptions;

/// Scale factors of a loss and its gradients.
pub struct Scaling {
    /// Factor by which the loss is computed too large, and the factor `[1]` that the backward pass multiplies it by.
    factors: Option<(f64, Tensor<1>)>,
}

impl Scaling {
    /// Splits the scale into the part that the loss is computed with, in the returned options, and the part that the
    /// backward pass applies. `loss_scale` is `[1]`.
    ///
    /// The head computes its gradients together with the loss. For a mean over many rows they would underflow in f16
    /// before the backward pass could scale them, so the head computes with the mean's factor divided by the next power
    /// of two, which does not round.
    pub fn new(loss_scale: Option<Tensor<1>>, options: LossOptions<'_>) -> (Self, LossOptions<'_>) {
        let Some(scale) = loss_scale else { return (Self { factors: None }, options) };
        let power = options.scale.log2().ceil().exp2().recip();
        let scaled = LossOptions { scale: options.scale * power, ..options };
        (Self { factors: Some((power, scale.div_scalar(power))) }, scaled)
    }

    /// Runs the backward pass from `loss [1]` with scaled gradients.
    pub fn backward(&self, loss: &Tensor<1>) -> Gradients {
        match &self.factors {
            Some((_, factor)) => (loss.clone() * Tensor::from_inner(factor.clone())).backward(),
            None => loss.backward(),
        }
    }

    /// Removes the factor from the loss and from what is summed beside it.
    pub fn undo(&self, figures: Tensor<1>) -> Tensor<1> {
        match self.factors {
            Some((power, _)) => figures.div_scalar(power),
            None => figures,
        }
    }
}
