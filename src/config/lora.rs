//! What low-rank adaptation (LoRA, Hu et al. 2021) reaches: projections by name, and what training them takes.

use serde::{Deserialize, Serialize};

use super::{HiddenAct, ModelConfig, require};
use crate::error::{Error, Result};

/// The word for every projection of the blocks.
const ALL: &str = "all";

/// Settings of low-rank adaptation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct LoraConfig {
    /// Rank of the adapters that are trained beside frozen weights (LoRA, Hu et al. 2021); 0 trains the weights.
    #[serde(rename = "lora_rank")]
    pub rank: usize,
    /// LoRA scaling numerator: ΔW = (alpha / rank) · B · A, as PEFT's setting of this name.
    #[serde(rename = "lora_alpha")]
    pub alpha: f64,
    /// Projections with an adapter, by the last part of their names (PEFT's `target_modules`); `all` for all of the blocks.
    #[serde(rename = "lora_targets")]
    pub targets: Vec<String>,
    /// Train the embedding and the head beside the adapters, in full (PEFT's `modules_to_save`): tokens that are new to
    /// a model want it.
    #[serde(rename = "lora_embeddings")]
    pub embeddings: bool,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 0, alpha: 16.0, targets: vec![ALL.into()], embeddings: false }
    }
}

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

impl LoraConfig {
    /// The default adapters of another rank.
    pub fn with_rank(rank: usize) -> Self {
        Self { rank, ..Self::default() }
    }

    /// Whether adapters are trained instead of the weights.
    pub fn is_enabled(&self) -> bool {
        self.rank > 0
    }

    /// What an adapter's product is multiplied by.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// The projections of each of `model`'s blocks that get an adapter.
    ///
    /// # Errors
    /// A target that the model does not have.
    pub fn adapted(&self, model: &ModelConfig) -> Result<Vec<Projection>> {
        let there = model.projections();
        if !self.is_enabled() {
            return Ok(Vec::new());
        }
        if self.targets == [ALL] {
            return Ok(there);
        }
        let known = |target: &&String| there.iter().any(|one| one.name() == target.as_str());
        if let Some(target) = self.targets.iter().find(|target| !known(target)) {
            let names: Vec<&str> = there.iter().map(Projection::name).collect();
            return Err(Error::config(
                "lora_targets",
                format!("this model has no projection `{target}`"),
                format!("use {ALL}, or some of {}", names.join(", ")),
            ));
        }
        let wanted = |one: &Projection| self.targets.iter().any(|t| t == one.name());
        Ok(there.into_iter().filter(wanted).collect())
    }

    /// Numbers in the adapters of all of `model`'s blocks.
    pub(super) fn parameters(&self, model: &ModelConfig) -> u64 {
        let each = |one: &Projection| (self.rank * (one.inputs + one.outputs)) as u64;
        let adapted = self.adapted(model).unwrap_or_default();
        model.num_hidden_layers as u64 * adapted.iter().map(each).sum::<u64>()
    }

    /// Checks the range of every setting.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn validate(&self) -> Result<()> {
        require(
            self.alpha.is_finite() && self.alpha > 0.0,
            "lora_alpha",
            format!("{} is not a number above 0", self.alpha),
            "use 16, or twice the rank",
        )?;
        require(
            !self.is_enabled() || !self.targets.is_empty(),
            "lora_targets",
            "it names no projection",
            "use all, or set lora_rank to 0",
        )
    }
}
