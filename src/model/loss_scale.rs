//! Gradients multiplied on their way, so that f16 holds the small ones (Micikevicius et al. 2018).

use burn::tensor::{Gradients, Tensor};

use super::LossOptions;

/// What is done to a loss before its backward pass.
pub struct Scaling {
    /// The loss is computed so many times too large, and multiplied by the tensor for the backward pass.
    factors: Option<(f64, Tensor<1>)>,
}

impl Scaling {
    /// Scaling by `loss_scale [1]`, and the options to compute the loss with.
    ///
    /// The head computes its first gradients together with the loss: those of a mean over many rows would be
    /// too small for f16 before anything could be multiplied. So the mean is left out there, but for what keeps
    /// the factor a power of two, which rounds nothing.
    pub fn new(loss_scale: Option<Tensor<1>>, options: LossOptions<'_>) -> (Self, LossOptions<'_>) {
        let Some(scale) = loss_scale else { return (Self { factors: None }, options) };
        let power = options.scale.log2().ceil().exp2().recip();
        let scaled = LossOptions { scale: options.scale * power, ..options };
        (Self { factors: Some((power, scale.div_scalar(power))) }, scaled)
    }

    /// The backward pass from `loss [1]`.
    pub fn backward(&self, loss: &Tensor<1>) -> Gradients {
        match &self.factors {
            Some((_, factor)) => (loss.clone() * Tensor::from_inner(factor.clone())).backward(),
            None => loss.backward(),
        }
    }

    /// The loss, and what is summed beside it, as they are.
    pub fn undo(&self, figures: Tensor<1>) -> Tensor<1> {
        match self.factors {
            Some((power, _)) => figures.div_scalar(power),
            None => figures,
        }
    }
}
