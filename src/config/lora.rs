//! Low-rank adaptation (LoRA, Hu et al. 2021): settings of the adapters, and the projections that have one.

use super::declare::settings;
use super::range::Range;
use super::setting::{require, unless};
use super::{HiddenAct, ModelConfig, Settings};
use crate::error::{Error, Result};

/// The target that means all projections of the blocks.
const ALL: &str = "all";

settings! {
    /// Settings of low-rank adaptation.
    pub struct LoraConfig ("Adapters (LoRA)") {
        /// Rank of the adapters: instead of each weight matrix W, two narrow matrices A and B beside it are trained, which
        /// needs much less memory for gradients and optimizer state. 0 trains the weights themselves.
        #[serde(rename = "lora_rank")]
        rank: usize = 0 => {
            label: "LoRA rank",
            range: Range::at_least(0.0).at_most((1u64 << 30) as f64),
            usual: "8; 4 to 64",
            formula: "W + (α ∕ r) · B · A",
            source: "Hu et al. 2021 (LoRA)",
        },
        /// Scaling numerator: the adapters' product is multiplied by α ∕ rank.
        #[serde(rename = "lora_alpha")]
        alpha: f64 = 16.0 => {
            label: "LoRA α",
            range: Range::above(0.0),
            step: Some(1.0),
            applies_if: unless("lora_rank", "0"),
            usual: "16, or twice the rank",
            formula: "ΔW = (α ∕ r) · B · A",
            source: "Hu et al. 2021 (LoRA)",
        },
        /// Projections that get an adapter, as in PEFT's target_modules: all, or some of q_proj, k_proj, v_proj (qkv_proj
        /// where they are one matrix, as in GPT-2), o_proj, gate_proj, up_proj and down_proj.
        #[serde(rename = "lora_targets")]
        targets: Vec<String> = vec![ALL.into()] => {
            label: "Target modules",
            applies_if: unless("lora_rank", "0"),
            usual: "all",
            source: "Dettmers et al. 2023 (QLoRA)",
        },
        /// Trains the embedding and the head in full beside the adapters, as PEFT's modules_to_save does. Always on where
        /// the chat template adds tokens to the model.
        #[serde(rename = "lora_embeddings")]
        embeddings: bool = false => {
            label: "Train embeddings",
            applies_if: unless("lora_rank", "0"),
            usual: "off",
            source: "PEFT",
        },
    }
}

/// A projection of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Projection {
    /// Its path inside a block, `self_attn.o_proj`.
    pub path: &'static str,
    /// Size of its input.
    pub inputs: usize,
    /// Size of its output.
    pub outputs: usize,
}

impl Projection {
    /// Returns the last part of the path.
    fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
}

impl ModelConfig {
    /// Returns the projections of one block, in the order in which they are applied.
    pub fn projections(&self) -> Vec<Projection> {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let q = self.q_size();
        let kv = self.kv_size();
        let of = |path, inputs, outputs| Projection { path, inputs, outputs };
        let mut all = if self.fused_qkv {
            vec![of("self_attn.qkv_proj", width, q.saturating_add(2 * kv))]
        } else {
            vec![
                of("self_attn.q_proj", width, q),
                of("self_attn.k_proj", width, kv),
                of("self_attn.v_proj", width, kv),
            ]
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
    /// Returns the default adapters with another rank.
    pub fn with_rank(rank: usize) -> Self {
        Self { rank, ..Self::default() }
    }

    /// Whether adapters are trained instead of the weights.
    pub fn is_enabled(&self) -> bool {
        self.rank > 0
    }

    /// Returns the factor of an adapter's product, `alpha / rank`.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Returns the projections of each of `model`'s blocks that get an adapter.
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

    /// Returns the number of parameters of all adapters of `model`.
    pub fn parameters(&self, model: &ModelConfig) -> f64 {
        let each = |one: &Projection| self.rank as f64 * (one.inputs as f64 + one.outputs as f64);
        let adapted = self.adapted(model).unwrap_or_default();
        model.num_hidden_layers as f64 * adapted.iter().map(each).sum::<f64>()
    }

    /// Refuses settings with which nothing could be adapted.
    ///
    /// # Errors
    /// The first setting out of range, or an empty list of targets.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()?;
        require(
            !self.is_enabled() || !self.targets.is_empty(),
            "lora_targets",
            "the list is empty",
            "use all, or set `lora_rank` to 0",
        )
    }
}
