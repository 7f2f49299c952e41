//! What changes the trajectory of training.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::{Error, Result};

/// The rule that turns gradients into updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    Adamw,
    /// Orthogonalized momentum for the blocks' matrices (Jordan et al. 2024), AdamW for the rest.
    Muon,
}

/// The learning rate over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// `lr` throughout.
    Constant,
    /// Half a cosine from `lr` to `min_lr` (Loshchilov & Hutter 2017).
    Cosine,
    /// A straight line from `lr` to `min_lr`.
    Linear,
    /// Warm-up, stable, then a straight line to `min_lr` over `decay_steps` (Hu et al. 2024).
    WarmupStableDecay,
}

/// The type of the numbers that a training step computes with.
///
/// Weights, moments and the sums inside kernels are f32 in all of them (Micikevicius et al. 2018): each step
/// begins with rounded copies of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits; every device has it.
    F32,
    /// 16 bits, 10 of them after the point, and a small range: the loss is scaled up for the backward pass by as
    /// much as fits, and a step whose gradients overflow is skipped.
    F16,
    /// 16 bits, 7 of them after the point, and the range of f32. CUDA has it, WebGPU does not.
    Bf16,
}

impl Precision {
    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Optimizer, schedule and bookkeeping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct TrainConfig {
    /// Optimizer steps in all.
    pub steps: u64,
    /// Sequences, or preference pairs, per micro-batch.
    pub batch_size: usize,
    /// Micro-batches whose gradients are averaged into one step.
    pub grad_accum: usize,
    /// Which optimizer.
    pub optimizer: OptimizerKind,
    /// Peak learning rate (of AdamW).
    pub lr: f64,
    /// Learning rate at the end of a decaying schedule.
    pub min_lr: f64,
    /// Which schedule.
    pub schedule: ScheduleKind,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Last steps over which `warmup_stable_decay` falls.
    pub decay_steps: u64,
    /// AdamW's first-moment decay.
    pub beta1: f64,
    /// AdamW's second-moment decay.
    pub beta2: f64,
    /// AdamW's denominator guard.
    pub eps: f64,
    /// Decoupled weight decay, on tensors of rank 2 and above only.
    pub weight_decay: f64,
    /// Peak learning rate of Muon; follows the same schedule shape.
    pub muon_lr: f64,
    /// Muon's momentum.
    pub muon_momentum: f64,
    /// Bound on the global gradient norm; 0 turns clipping off.
    pub grad_clip: f64,
    /// Weight of the squared logarithm of the softmax normalizer, which keeps logits from drifting (PaLM,
    /// Chowdhery et al. 2022, section 5: 1e-4); 0 turns it off. The training loss that is reported includes
    /// it, an evaluation never does.
    pub z_loss: f64,
    /// How dear it is to leave the model that preference tuning begins with (Rafailov et al. 2023): a reward is so many
    /// times the logarithm of how much likelier an answer has become. Of preference pairs only.
    pub dpo_beta: f64,
    /// Rank of the adapters that are trained beside frozen weights (LoRA, Hu et al. 2021); 0 trains the weights.
    pub lora_rank: usize,
    /// So many times over the rank the adapters count, as PEFT's setting of this name.
    pub lora_alpha: f64,
    /// Projections with an adapter, by the last part of their names (PEFT's `target_modules`); `all` for all of the blocks.
    pub lora_targets: Vec<String>,
    /// Train the embedding and the head beside the adapters, in full (PEFT's `modules_to_save`): tokens that are new to
    /// a model want it.
    pub lora_embeddings: bool,
    /// Keep only what enters each block, and compute the rest again for the backward pass (Chen et al. 2016):
    /// less memory for about a third more time.
    pub gradient_checkpointing: bool,
    /// What forward and backward pass compute in. Evaluation and sampling are f32 always.
    pub precision: Precision,
    /// Seed of weights, batches and dropout.
    pub seed: u64,
    /// Evaluate on the validation split every so many steps; 0 only at the end.
    pub eval_every: u64,
    /// Save a checkpoint every so many steps; 0 only at the end.
    pub save_every: u64,
    /// How many step checkpoints to keep beside the best one.
    pub keep_last: usize,
    /// How many older step checkpoints to keep beside those, spread evenly over the steps.
    pub keep_spread: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 500,
            batch_size: 4,
            grad_accum: 1,
            optimizer: OptimizerKind::Adamw,
            lr: 1e-3,
            min_lr: 1e-4,
            schedule: ScheduleKind::Cosine,
            warmup_steps: 20,
            decay_steps: 100,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.1,
            muon_lr: 0.02,
            muon_momentum: 0.95,
            grad_clip: 1.0,
            z_loss: 0.0,
            dpo_beta: 0.1,
            lora_rank: 0,
            lora_alpha: 16.0,
            lora_targets: vec!["all".into()],
            lora_embeddings: false,
            gradient_checkpointing: false,
            precision: Precision::F32,
            seed: 1337,
            eval_every: 100,
            save_every: 100,
            keep_last: 2,
            keep_spread: 0,
        }
    }
}

impl TrainConfig {
    /// Where fine-tuning starts from: what a model has learnt is not to be washed away, so the learning rate is
    /// a tenth, and weights are not pulled towards zero.
    pub fn fine_tuning() -> Self {
        let fresh = Self::default();
        Self { lr: fresh.lr / 10.0, min_lr: fresh.min_lr / 10.0, weight_decay: 0.0, ..fresh }
    }

    /// These settings for adapters, which want about ten times the learning rate of the weights themselves
    /// (Schulman et al. 2025, "LoRA Without Regret").
    pub fn for_adapters(self) -> Self {
        Self { lr: self.lr * 10.0, min_lr: self.min_lr * 10.0, ..self }
    }

    /// These settings with others of the three that may change while training goes on. `min_lr` stays, but
    /// sinks with `lr` where it would be above it.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn adjusted(
        &self,
        lr: Option<f64>,
        batch_size: Option<usize>,
        steps: Option<u64>,
    ) -> Result<Self> {
        let lr = lr.unwrap_or(self.lr);
        let adjusted = Self {
            lr,
            min_lr: self.min_lr.min(lr),
            batch_size: batch_size.unwrap_or(self.batch_size),
            steps: steps.unwrap_or(self.steps),
            ..self.clone()
        };
        adjusted.validate()?;
        Ok(adjusted)
    }

    /// How many steps after `step` an evaluation, a save or, every so many steps, a sample interrupts training.
    pub fn steps_undisturbed(&self, step: u64, sample_every: u64) -> u64 {
        let until = |every: u64| every - step % every;
        let every = [self.eval_every, self.save_every, sample_every];
        every.into_iter().filter(|every| *every > 0).map(until).min().unwrap_or(u64::MAX)
    }

    /// Refuses settings of a fresh run that data of this `kind` leaves without effect.
    ///
    /// # Errors
    /// [`Self::dpo_beta`] set for other data than preference pairs.
    pub fn suits(&self, kind: DataKind) -> Result<()> {
        match kind != DataKind::Preferences && self.dpo_beta != Self::default().dpo_beta {
            true => Err(without_pairs("dpo_beta")),
            false => Ok(()),
        }
    }

    /// Refuses what cannot be trained with, naming the setting and the remedy.
    pub fn validate(&self) -> Result<()> {
        require(self.batch_size > 0, "batch_size", "0 sequences", "use at least 1")?;
        require(self.grad_accum > 0, "grad_accum", "0 micro-batches", "use at least 1")?;
        require(self.keep_last > 0, "keep_last", "0 checkpoints", "keep at least 1")?;
        for (key, value) in [
            ("lr", self.lr),
            ("min_lr", self.min_lr),
            ("weight_decay", self.weight_decay),
            ("grad_clip", self.grad_clip),
            ("muon_lr", self.muon_lr),
            ("z_loss", self.z_loss),
        ] {
            require(
                value.is_finite() && value >= 0.0,
                key,
                format!("{value} is not a number of at least 0"),
                "use a positive number, or 0 to turn it off",
            )?;
        }
        for (key, value) in
            [("beta1", self.beta1), ("beta2", self.beta2), ("muon_momentum", self.muon_momentum)]
        {
            require(
                (0.0..1.0).contains(&value),
                key,
                format!("{value} is not in [0, 1)"),
                "use 0.9 to 0.999",
            )?;
        }
        require(
            self.eps.is_finite() && self.eps > 0.0,
            "eps",
            format!("{} is not above 0", self.eps),
            "use 1e-8",
        )?;
        require(
            self.dpo_beta.is_finite() && self.dpo_beta > 0.0,
            "dpo_beta",
            format!("{} is not a number above 0", self.dpo_beta),
            "use 0.1",
        )?;
        require(
            self.lora_alpha.is_finite() && self.lora_alpha > 0.0,
            "lora_alpha",
            format!("{} is not a number above 0", self.lora_alpha),
            "use 16, or twice the rank",
        )?;
        require(
            !self.adapts() || !self.lora_targets.is_empty(),
            "lora_targets",
            "it names no projection",
            "use all, or set lora_rank to 0",
        )?;
        require(
            !self.adapts() || self.optimizer == OptimizerKind::Adamw,
            "lora_rank",
            "muon is for whole matrices, not for the narrow ones of an adapter",
            "train adapters with adamw",
        )?;
        require(
            self.precision != Precision::F16 || self.optimizer == OptimizerKind::Adamw,
            "precision",
            "only adamw can skip a step whose f16 gradients overflow",
            "use bf16 or f32 with muon",
        )?;
        require(
            self.min_lr <= self.lr,
            "min_lr",
            format!("{} is above lr {}", self.min_lr, self.lr),
            "set it to a tenth of lr",
        )
    }
}

/// Of a setting of preference tuning, under the name `key`, where there are no preference pairs.
pub fn without_pairs(key: &str) -> Error {
    let remedy = "leave it out, or give .jsonl files of pairs of a chosen and a rejected answer";
    Error::config(key, "the data has no preference pairs, of which alone it is a setting", remedy)
}

/// The order in which windows are drawn from the training tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DataOrder {
    /// Every window starts at a seeded random token (nanoGPT's way).
    Random,
    /// Non-overlapping windows, each seen once per epoch, in a seeded order.
    Sequential,
}

/// What is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Text: every token is predicted.
    #[default]
    Text,
    /// Conversations, one JSON object `{"messages": [...]}` a line: what the assistant says is predicted.
    Conversations,
    /// Pairs of answers, one JSON object `{"prompt": …, "chosen": …, "rejected": …}` a line: the chosen answer is to
    /// become likelier than the rejected one.
    Preferences,
}

impl DataKind {
    /// Sequences that make one example.
    pub fn rows(self) -> usize {
        match self {
            Self::Text | Self::Conversations => 1,
            Self::Preferences => 2,
        }
    }

    /// Whether it is made of turns.
    pub fn has_turns(self) -> bool {
        self != Self::Text
    }
}

/// How text becomes batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct DataConfig {
    /// What is trained on.
    pub kind: DataKind,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Share of the tokens, at the end, kept for validation.
    pub val_fraction: f64,
    /// The order of windows.
    pub order: DataOrder,
    /// Ignore targets that cross from one document into the next (needs an end-of-text token).
    pub document_boundaries: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            kind: DataKind::Text,
            seq_len: 32,
            val_fraction: 0.1,
            order: DataOrder::Random,
            document_boundaries: false,
        }
    }
}

impl DataConfig {
    /// Refuses what cannot be fed to a model with room for `context` tokens.
    pub fn validate(&self, context: usize) -> Result<()> {
        require(
            (1..=context).contains(&self.seq_len),
            "seq_len",
            format!("{} is not between 1 and the model's context of {context}", self.seq_len),
            "use a shorter --seq-len or a larger max_position_embeddings",
        )?;
        require(
            (0.0..1.0).contains(&self.val_fraction),
            "val_fraction",
            format!("{} is not a share below 1", self.val_fraction),
            "use 0.1, or 0 for no validation",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::TrainConfig;

    #[test]
    fn the_next_disturbance_is_the_nearest() {
        let config = TrainConfig { eval_every: 10, save_every: 15, ..Default::default() };
        assert_eq!(config.steps_undisturbed(0, 0), 10);
        assert_eq!(config.steps_undisturbed(12, 0), 3);
        assert_eq!(config.steps_undisturbed(12, 7), 2);
        assert_eq!(config.steps_undisturbed(20, 7), 1);
        let never = TrainConfig { eval_every: 0, save_every: 0, ..config };
        assert_eq!(never.steps_undisturbed(3, 0), u64::MAX);
    }
}
