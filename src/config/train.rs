//! The training settings that belong to no group of their own, and the groups.

use serde::{Deserialize, Serialize};

use super::{
    CheckpointConfig, LoraConfig, ObjectiveConfig, OptimizerConfig, OptimizerKind, Precision,
    ScheduleConfig, require,
};
use crate::error::Result;

/// Everything that changes the trajectory of training, beside the data.
///
/// In JSON the settings of all groups stand side by side, without the groups' names.
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
    /// The optimizer.
    #[serde(flatten)]
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule.
    #[serde(flatten)]
    pub schedule: ScheduleConfig,
    /// The loss.
    #[serde(flatten)]
    pub objective: ObjectiveConfig,
    /// Low-rank adapters.
    #[serde(flatten)]
    pub lora: LoraConfig,
    /// Keep only what enters each block, and compute the rest again for the backward pass (Chen et al. 2016):
    /// less memory for about a third more time.
    pub gradient_checkpointing: bool,
    /// What forward and backward pass compute in. Evaluation and sampling are f32 always.
    pub precision: Precision,
    /// Seed of weights, batches and dropout.
    pub seed: u64,
    /// Evaluate on the validation split every so many steps; 0 only at the end.
    pub eval_every: u64,
    /// Saving.
    #[serde(flatten)]
    pub checkpoints: CheckpointConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 500,
            batch_size: 4,
            grad_accum: 1,
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            objective: ObjectiveConfig::default(),
            lora: LoraConfig::default(),
            gradient_checkpointing: false,
            precision: Precision::F32,
            seed: 1337,
            eval_every: 100,
            checkpoints: CheckpointConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Where fine-tuning starts from: what a model has learnt is not to be washed away, so the learning rate is
    /// a tenth, and weights are not pulled towards zero.
    pub fn fine_tuning() -> Self {
        let mut train = Self::default().with_lr_scaled(0.1);
        train.optimizer.weight_decay = 0.0;
        train
    }

    /// These settings for adapters, which want about ten times the learning rate of the weights themselves
    /// (Schulman et al. 2025, "LoRA Without Regret").
    pub fn for_adapters(self) -> Self {
        self.with_lr_scaled(10.0)
    }

    fn with_lr_scaled(mut self, factor: f64) -> Self {
        self.optimizer.lr *= factor;
        self.schedule.min_lr *= factor;
        self
    }

    /// Whether adapters are trained instead of the weights.
    pub fn adapts(&self) -> bool {
        self.lora.is_enabled()
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
        let mut adjusted = self.clone();
        adjusted.optimizer.lr = lr.unwrap_or(self.optimizer.lr);
        adjusted.schedule.min_lr = self.schedule.min_lr.min(adjusted.optimizer.lr);
        adjusted.batch_size = batch_size.unwrap_or(self.batch_size);
        adjusted.steps = steps.unwrap_or(self.steps);
        adjusted.validate()?;
        Ok(adjusted)
    }

    /// How many steps after `step` an evaluation, a save or, every so many steps, a sample interrupts training.
    pub fn steps_undisturbed(&self, step: u64, sample_every: u64) -> u64 {
        let until = |every: u64| every - step % every;
        let every = [self.eval_every, self.checkpoints.save_every, sample_every];
        every.into_iter().filter(|every| *every > 0).map(until).min().unwrap_or(u64::MAX)
    }

    /// Refuses what cannot be trained with, naming the setting and the remedy.
    pub fn validate(&self) -> Result<()> {
        require(self.batch_size > 0, "batch_size", "0 sequences", "use at least 1")?;
        require(self.grad_accum > 0, "grad_accum", "0 micro-batches", "use at least 1")?;
        self.checkpoints.validate()?;
        self.optimizer.validate()?;
        self.schedule.validate()?;
        self.objective.validate()?;
        self.lora.validate()?;
        let adamw = self.optimizer.kind == OptimizerKind::Adamw;
        require(
            !self.adapts() || adamw,
            "lora_rank",
            "muon is for whole matrices, not for the narrow ones of an adapter",
            "train adapters with adamw",
        )?;
        require(
            self.precision != Precision::F16 || adamw,
            "precision",
            "only adamw can skip a step whose f16 gradients overflow",
            "use bf16 or f32 with muon",
        )?;
        require(
            self.schedule.min_lr <= self.optimizer.lr,
            "min_lr",
            format!("{} is above lr {}", self.schedule.min_lr, self.optimizer.lr),
            "set it to a tenth of lr",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckpointConfig, TrainConfig};
    use crate::config::from_json_strict;

    #[test]
    fn groups_are_flat_in_json() {
        let mut config = TrainConfig::default();
        config.optimizer.lr = 0.1 + 0.2;
        config.optimizer.eps = f64::MIN_POSITIVE;
        config.lora.rank = 4;
        config.seed = u64::MAX;
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["lr"], 0.1 + 0.2);
        assert_eq!((&json["optimizer"], &json["schedule"]), (&"adamw".into(), &"cosine".into()));
        assert_eq!((&json["lora_rank"], &json["save_every"]), (&4.into(), &100.into()));
        let read = |bytes: &[u8]| from_json_strict::<TrainConfig>(bytes, "settings");
        let back = read(json.to_string().as_bytes()).unwrap();
        assert_eq!(back, config);
        assert_eq!(back.optimizer.lr.to_bits(), config.optimizer.lr.to_bits());
        let partial = read(br#"{"lr": 1, "keep_last": 7}"#).unwrap();
        assert_eq!((partial.optimizer.lr, partial.checkpoints.keep_last), (1.0, 7));
        assert_eq!(partial.schedule, TrainConfig::default().schedule);
        for unknown in [r#"{"kind": "adamw"}"#, r#"{"rank": 4}"#, r#"{"lora": {}}"#] {
            assert!(read(unknown.as_bytes()).unwrap_err().to_string().contains("unknown key"));
        }
    }

    #[test]
    fn the_next_disturbance_is_the_nearest() {
        let config = TrainConfig {
            eval_every: 10,
            checkpoints: CheckpointConfig { save_every: 15, ..Default::default() },
            ..Default::default()
        };
        assert_eq!(config.steps_undisturbed(0, 0), 10);
        assert_eq!(config.steps_undisturbed(12, 0), 3);
        assert_eq!(config.steps_undisturbed(12, 7), 2);
        assert_eq!(config.steps_undisturbed(20, 7), 1);
        let mut never = TrainConfig { eval_every: 0, ..config };
        never.checkpoints.save_every = 0;
        assert_eq!(never.steps_undisturbed(3, 0), u64::MAX);
    }
}
