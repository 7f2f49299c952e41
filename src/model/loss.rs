//! Cross-entropy of next-token prediction.

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};

use crate::data::IGNORE;
use crate::error::{Error, Result};

/// Mean cross-entropy in nats over the targets that count, on the device: `[1]`.
///
/// `logits` is `[B, T, V]`, `targets` its `B T` next tokens, row by row, [`IGNORE`] where none counts.
pub fn cross_entropy(logits: Tensor<3>, targets: &[u32], device: &Device) -> Tensor<1> {
    let [batch, tokens, vocab] = logits.dims();
    let rows = batch * tokens;
    let index: Vec<i32> =
        targets.iter().map(|id| if *id == IGNORE { 0 } else { *id as i32 }).collect();
    let index = Tensor::<2, Int>::from_data(TensorData::new(index, [rows, 1]), device);
    let picked = log_softmax(logits.reshape([rows, vocab]), 1).gather(1, index).reshape([rows]);
    let counted = targets.iter().filter(|id| **id != IGNORE).count();
    if counted == rows {
        return picked.mean().neg();
    }
    let weights: Vec<f32> =
        targets.iter().map(|id| if *id == IGNORE { 0.0 } else { 1.0 }).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [rows]), device);
    (picked * weights).sum().div_scalar(-(counted.max(1) as f64))
}

/// `Err` if a target that counts is outside the vocabulary.
///
/// # Errors
/// The first such id.
pub fn check_targets(targets: &[u32], vocab_size: usize) -> Result<()> {
    match targets.iter().find(|id| **id != IGNORE && **id as usize >= vocab_size) {
        Some(id) => Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size }),
        None => Ok(()),
    }
}
