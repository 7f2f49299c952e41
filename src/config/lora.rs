//! What low-rank adaptation (LoRA, Hu et al. 2021) reaches: projections by name, and what training them takes.

use super::{HiddenAct, ModelConfig, TrainConfig};
use crate::error::{Error, Result};

/// The word for every projection of the blocks.
const ALL: &str = "all";

/// A projection of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Its path inside a block, `self_attn.o_proj`.
    pub path: &'static str,
    /// Numbers it reads.
    pub inputs: usize,
    /// Numbers it gives.
    pub outputs: usize,
}

impl Projection {
    /// The last part of its path.
    fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
}

impl ModelConfig {
    /// The projections of one block, in the order in which they are applied.
    pub fn projections(&self) -> Vec<Projection> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.q_size(), self.kv_size());
        let of = |path, inputs, outputs| Projection { path, inputs, outputs };
        let mut all = match self.fused_qkv {
            true => vec![of("self_attn.qkv_proj", width, q + 2 * kv)],
            false => vec![
                of("self_attn.q_proj", width, q),
                of("self_attn.k_proj", width, kv),
                of("self_attn.v_proj", width, kv),
            ],
        };
        all.push(of("self_attn.o_proj", q, width));
        if self.hidden_act == HiddenAct::Swiglu {
            all.push(of("mlp.gate_proj", width, inner));
        }
        all.extend([of("mlp.up_proj", width, inner), of("mlp.down_proj", inner, width)]);
        all
    }
}

impl TrainConfig {
    /// Whether adapters are trained instead of the weights.
    pub fn adapts(&self) -> bool {
        self.lora_rank > 0
    }

    /// What an adapter's product is multiplied by.
    pub fn lora_scale(&self) -> f64 {
        self.lora_alpha / self.lora_rank as f64
    }

    /// The projections of each of `model`'s blocks that get an adapter.
    ///
    /// # Errors
    /// A target that the model does not have.
    pub fn adapted(&self, model: &ModelConfig) -> Result<Vec<Projection>> {
        let there = model.projections();
        if !self.adapts() {
            return Ok(Vec::new());
        }
        if self.lora_targets == [ALL] {
            return Ok(there);
        }
        let known = |target: &&String| there.iter().any(|one| one.name() == target.as_str());
        if let Some(target) = self.lora_targets.iter().find(|target| !known(target)) {
            let names: Vec<&str> = there.iter().map(Projection::name).collect();
            return Err(Error::config(
                "lora_targets",
                format!("this model has no projection `{target}`"),
                format!("use {ALL}, or some of {}", names.join(", ")),
            ));
        }
        let wanted = |one: &Projection| self.lora_targets.iter().any(|t| t == one.name());
        Ok(there.into_iter().filter(wanted).collect())
    }

    /// Numbers in the adapters of all of `model`'s blocks.
    pub(super) fn adapter_parameters(&self, model: &ModelConfig) -> u64 {
        let each = |one: &Projection| (self.lora_rank * (one.inputs + one.outputs)) as u64;
        let adapted = self.adapted(model).unwrap_or_default();
        model.num_hidden_layers as u64 * adapted.iter().map(each).sum::<u64>()
    }
}
