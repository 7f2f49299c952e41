//! Loss scaling: keeps small gradients representable in f16 (Micikevicius et al. 2018).

use burn::tensor::Tensor;

/// Scale factors of a loss and its gradients.
pub struct LossScaling {
    /// Factor by which the loss is computed too large, and the factor `[1]` that the backward pass multiplies it by.
    factors: Option<(f64, Tensor<1>)>,
}

impl LossScaling {
    /// Splits the scale into the part that the loss is computed with, as the returned weight of each term instead of
    /// `term_weight`, and the part that the backward pass applies. `loss_scale` is `[1]`.
    ///
    /// The head computes its gradients together with the loss. For a mean over many terms they would underflow in f16
    /// before the backward pass could scale them, so the head computes with the mean's factor divided by the next power
    /// of two, which does not round.
    pub fn new(loss_scale: Option<Tensor<1>>, term_weight: f64) -> (Self, f64) {
        let Some(scale) = loss_scale else { return (Self { factors: None }, term_weight) };
        let power = term_weight.log2().ceil().exp2().recip();
        (Self { factors: Some((power, scale.div_scalar(power))) }, term_weight * power)
    }

    /// Returns the scalar to differentiate for scaled gradients, from the loss as computed, `[1]`.
    pub fn apply(&self, loss: &Tensor<1>) -> Tensor<1> {
        match &self.factors {
            Some((_, factor)) => loss.clone() * Tensor::from_inner(factor.clone()),
            None => loss.clone(),
        }
    }

    /// Removes the factor from a value that was summed over the terms.
    pub fn undo(&self, value: Tensor<1>) -> Tensor<1> {
        match self.factors {
            Some((power, _)) => value.div_scalar(power),
            None => value,
        }
    }
}
