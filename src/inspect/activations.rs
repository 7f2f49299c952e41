//! Statistics of the activations of a forward pass.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::TensorStats;
use super::trace::token_ids;
use crate::error::Result;
use crate::model::{Decoder, Probe, read_floats};

/// Statistics of one module's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ActivationReport {
    /// Path of the module: `embed_tokens` (with positions added), `layers.0.self_attn`, `layers.0.mlp.act` (activated
    /// neurons), `layers.0.mlp`, `layers.0` (residual stream after the block) and so on.
    pub name: String,
    /// Statistics of its output at all tokens.
    pub stats: TensorStats,
}

/// Runs `model` on `ids` and reports on the output of every module, in the order of the forward pass. The model must not
/// be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, or if the device was
/// lost.
pub async fn report_activations(model: &Decoder, ids: &[u32]) -> Result<Vec<ActivationReport>> {
    let mut seen = Seen::default();
    model.forward_residual(token_ids(model, ids)?, None, Some(&mut seen))?;
    let mut reports = Vec::with_capacity(seen.found.len());
    for (name, values) in seen.found {
        let count = values.shape().num_elements();
        let stats = TensorStats::of(&read_floats(values.reshape([count])).await?);
        reports.push(ActivationReport { name, stats });
    }
    Ok(reports)
}

/// A probe that records every module's output, `[1, T, C]`, and the neurons, `[1, T, F]`.
#[derive(Default)]
struct Seen {
    /// Most recent residual stream.
    residual: Option<Tensor<3>>,
    found: Vec<(String, Tensor<3>)>,
}

impl Seen {
    /// Records the change of the residual stream as the output of `part`.
    fn added(&mut self, part: String, residual: &Tensor<3>) {
        if let Some(before) = self.residual.replace(residual.clone()) {
            self.found.push((part, residual.clone() - before));
        }
    }
}

impl Probe for Seen {
    fn hidden(&mut self, layer: usize, residual: &Tensor<3>) {
        match layer.checked_sub(1) {
            Some(before) => {
                self.added(format!("layers.{before}.mlp"), residual);
                self.found.push((format!("layers.{before}"), residual.clone()));
            }
            None => {
                self.found.push(("embed_tokens".into(), residual.clone()));
                self.residual = Some(residual.clone());
            }
        }
    }

    fn between(&mut self, layer: usize, residual: &Tensor<3>) {
        self.added(format!("layers.{layer}.self_attn"), residual);
    }

    fn neurons(&mut self, layer: usize, neurons: &Tensor<3>) {
        self.found.push((format!("layers.{layer}.mlp.act"), neurons.clone()));
    }
}
