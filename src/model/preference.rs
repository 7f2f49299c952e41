//! Direct preference optimization (Rafailov et al. 2023): of two answers the chosen one is to gain on the other,
//! measured from the model that the tuning begins with.

use burn::tensor::{Tensor, activation::log_sigmoid};

use crate::data::Reference;

/// Loss and margin of each of `P` pairs, `[P]`, from the log-probabilities of their answers, the chosen and the
/// rejected one by turns, `[2 P]`.
fn direct_preference(
    log_probabilities: Tensor<1>,
    reference: &Reference,
) -> (Tensor<1>, Tensor<1>) {
    let before = &reference.log_probabilities[..];
    let pairs = before.len() / 2;
    let before = Tensor::from_floats(before, &log_probabilities.device());
    let rewards = ((log_probabilities - before) * reference.beta).reshape([pairs, 2]);
    let side = |side: usize| rewards.clone().slice_dim(1, side..side + 1).reshape([pairs]);
    let margins = side(0) - side(1);
    (-log_sigmoid(margins.clone()), margins)
}

/// What a forward pass comes to.
pub(super) struct Outcome {
    /// The loss, `[1]`.
    pub(super) loss: Tensor<1>,
    /// Of preference pairs, the mean margin and the share of them whose margin is positive, `[2]`.
    pub(super) preference: Option<Tensor<1>>,
}

impl Outcome {
    /// Of each pair its loss and its margin, multiplied by `scale` and summed.
    pub(super) fn of_pairs(
        log_probabilities: Tensor<1>,
        reference: &Reference,
        scale: f64,
    ) -> Self {
        let (losses, margins) = direct_preference(log_probabilities, reference);
        let margins = margins.without_autodiff();
        let right = margins.clone().greater_elem(0.0).float();
        let preference = Tensor::cat(vec![margins.sum(), right.sum()], 0).mul_scalar(scale);
        Self { loss: losses.sum().mul_scalar(scale), preference: Some(preference) }
    }

    /// All of it, off the graph: `[1]`, or `[3]` of preference pairs.
    pub(super) fn figures(self) -> Tensor<1> {
        let loss = self.loss.without_autodiff();
        match self.preference {
            Some(preference) => Tensor::cat(vec![loss, preference], 0),
            None => loss,
        }
    }
}

/// Of preference pairs, whose answers have these log-probabilities, `[2 P]`: mean loss, mean margin, and the share of
/// them whose margin is positive, `[3]`.
pub fn preference_figures(log_probabilities: Tensor<1>, reference: &Reference) -> Tensor<1> {
    let pairs = reference.log_probabilities.len() / 2;
    Outcome::of_pairs(log_probabilities, reference, 1.0 / pairs.max(1) as f64).figures()
}
