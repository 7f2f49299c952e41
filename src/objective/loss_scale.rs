//! Loss scaling, so that f16 can represent small gradients (Micikevicius et al. 2018).

use burn::tensor::Tensor;

/// How a loss is scaled for its backward pass.
pub struct LossScaling {
    /// The loss is computed this many times too large, and multiplied by the tensor for the backward pass.
    factors: Option<(f64, Tensor<1>)>,
}

impl LossScaling {
    /// Returns the scaling by `loss_scale [1]`, if there is one, and the weight of each term to compute the loss with
    /// instead of `term_weight`.
    ///
    /// The head computes its first gradients together with the loss: those of a mean over many terms would be too
    /// small for f16 before anything could be multiplied. So the division by their number is postponed, up to the
    /// power of two that keeps it free of rounding.
    pub fn new(loss_scale: Option<Tensor<1>>, term_weight: f64) -> (Self, f64) {
        let Some(scale) = loss_scale else { return (Self { factors: None }, term_weight) };
        let power = term_weight.log2().ceil().exp2().recip();
        (Self { factors: Some((power, scale.div_scalar(power))) }, term_weight * power)
    }

    /// The scalar whose backward pass gives the scaled gradients, from the loss as computed, `[1]`.
    pub fn apply(&self, loss: &Tensor<1>) -> Tensor<1> {
        match &self.factors {
            Some((_, factor)) => loss.clone() * Tensor::from_inner(factor.clone()),
            None => loss.clone(),
        }
    }

    /// A value summed over the terms, as it would be without scaling.
    pub fn undo(&self, value: Tensor<1>) -> Tensor<1> {
        match self.factors {
            Some((power, _)) => value.div_scalar(power),
            None => value,
        }
    }
}
