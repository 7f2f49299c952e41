//! Names and sizes of the optimizer state in a checkpoint.

use std::collections::BTreeMap;

use crate::config::{OptimizerKind, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Decoder, trained_shapes};

/// Name of the loss scale.
pub(super) const LOSS_SCALE: &str = "loss_scale";
/// Ending of the names of first moments, and of Muon's momentum.
pub(super) const FIRST: &str = "first";
/// Ending of the names of second moments.
pub(super) const SECOND: &str = "second";

/// Returns true for the parameters that Muon updates. Muon is for hidden matrices; AdamW updates embeddings, head, norms
/// and biases.
pub(super) fn uses_muon(config: &TrainConfig, name: &str, rank: usize) -> bool {
    config.optimizer.kind == OptimizerKind::Muon && rank == 2 && name.starts_with("layers.")
}

/// Checks that the optimizer state after `step` steps belongs to the parameters of `model` that are trained. The model must be
/// on an autodiff device. There is no state before the first step.
///
/// # Errors
/// A tensor is missing, has another size, or belongs to no parameter that is trained.
pub fn check_state(
    config: &TrainConfig,
    model: &Decoder,
    step: u64,
    state: &[(String, Vec<f32>)],
) -> Result<()> {
    check_state_of(config, trained_shapes(model), step, state)
}

/// [`check_state`] of parameters with these shapes.
///
/// # Errors
/// As [`check_state`].
pub fn check_state_of(
    config: &TrainConfig,
    shapes: BTreeMap<String, Vec<usize>>,
    step: u64,
    state: &[(String, Vec<f32>)],
) -> Result<()> {
    let refused = |problem: String| {
        let remedy = "the settings in training_state.json (optimizer, lora_rank, …) must be those that it was saved with: restore them, or start a new run";
        Err(Error::malformed("the optimizer state", problem, remedy))
    };
    let mut found: BTreeMap<&str, usize> =
        state.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
    found.remove(LOSS_SCALE);
    if step == 0 && found.is_empty() {
        return Ok(());
    }
    for (param, shape) in shapes {
        let size: usize = shape.iter().product();
        let moments: &[&str] =
            if uses_muon(config, &param, shape.len()) { &[FIRST] } else { &[FIRST, SECOND] };
        for moment in moments {
            let name = format!("{param}.{moment}");
            match found.remove(name.as_str()) {
                None => return refused(format!("`{name}` is missing")),
                Some(other) if other != size => {
                    return refused(format!("`{name}` has {other} values, not {size}"));
                }
                Some(_) => {}
            }
        }
    }
    match found.keys().next() {
        None => Ok(()),
        Some(name) => refused(format!("`{name}` belongs to no parameter that is trained")),
    }
}
