//! How the numbers are spread that flow through a model while it reads a text.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::Spread;
use super::inside::token_ids;
use crate::error::Result;
use crate::model::{Decoder, Probe, read_floats};

/// Figures of what one place of a model gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ActivationReport {
    /// Whose output it is: `embed_tokens` (positions added), `layers.0.self_attn`, `layers.0.mlp.act` (its neurons),
    /// `layers.0.mlp`, `layers.0` (the residual stream behind the block), and so on.
    pub name: String,
    /// Its numbers at all tokens.
    pub spread: Spread,
}

/// A report on every place of `model`, which must not differentiate, while it reads `ids`, in the order of the pass.
///
/// # Errors
/// No tokens, too many of them, or one outside the vocabulary; a lost device.
pub async fn activation_reports(model: &Decoder, ids: &[u32]) -> Result<Vec<ActivationReport>> {
    let mut seen = Seen::default();
    model.stream(token_ids(model, ids)?, None, Some(&mut seen))?;
    let mut reports = Vec::with_capacity(seen.found.len());
    for (name, values) in seen.found {
        let count = values.shape().num_elements();
        let spread = Spread::of(&read_floats(values.reshape([count])).await?);
        reports.push(ActivationReport { name, spread });
    }
    Ok(reports)
}

/// A probe that keeps what each place gives, `[1, T, C]`, and of the neurons `[1, T, F]`.
#[derive(Default)]
struct Seen {
    /// The residual stream that was seen last.
    stream: Option<Tensor<3>>,
    found: Vec<(String, Tensor<3>)>,
}

impl Seen {
    /// The stream has come further: what was added to it since is the output of `part`.
    fn added(&mut self, part: String, stream: &Tensor<3>) {
        if let Some(before) = self.stream.replace(stream.clone()) {
            self.found.push((part, stream.clone() - before));
        }
    }
}

impl Probe for Seen {
    fn hidden(&mut self, layer: usize, stream: &Tensor<3>) {
        match layer.checked_sub(1) {
            Some(before) => {
                self.added(format!("layers.{before}.mlp"), stream);
                self.found.push((format!("layers.{before}"), stream.clone()));
            }
            None => {
                self.found.push(("embed_tokens".into(), stream.clone()));
                self.stream = Some(stream.clone());
            }
        }
    }

    fn between(&mut self, layer: usize, stream: &Tensor<3>) {
        self.added(format!("layers.{layer}.self_attn"), stream);
    }

    fn neurons(&mut self, layer: usize, neurons: &Tensor<3>) {
        self.found.push((format!("layers.{layer}.mlp.act"), neurons.clone()));
    }
}
