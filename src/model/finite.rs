//! Finds out why a model computes NaN or infinite numbers.

use burn::tensor::Tensor;

use super::{Decoder, for_each_param, read_floats};
use crate::error::{Error, Result};

impl Decoder {
    /// Checks that `values`, which this model has computed, are finite: nothing can be sampled or measured from others. The
    /// model must not be on an autodiff device.
    ///
    /// # Errors
    /// Returns [`Error::NonFiniteWeight`] with the first parameter that is not finite, or [`Error::NonFiniteLogits`] if all
    /// are; a lost device.
    pub async fn require_finite(&self, values: &[f32]) -> Result<()> {
        if values.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        let mut names = Vec::new();
        let mut differences: Vec<Tensor<1>> = Vec::new();
        for_each_param(self, &mut |name, _, value| {
            names.push(name.to_string());
            // Zero for a finite number, NaN for any other.
            differences.push((value.clone() - value).sum());
        });
        let differences = read_floats(Tensor::cat(differences, 0)).await?;
        let bad = names.into_iter().zip(differences).find(|(_, difference)| *difference != 0.0);
        Err(match bad {
            Some((tensor, _)) => Error::NonFiniteWeight { tensor },
            None => Error::NonFiniteLogits,
        })
    }
}
