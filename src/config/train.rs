//! The training settings that belong to no group of their own, and the groups.

use super::declare::settings;
use super::range::Range;
use super::setting::{Settings, require, unless};
use super::{
    Accumulation, CheckpointConfig, LoraConfig, ObjectiveConfig, OptimizerConfig, OptimizerKind,
    Precision, ScheduleConfig,
};
use crate::error::Result;

settings! {
    /// Everything that changes the trajectory of training, beside the data.
    pub struct TrainConfig ("Training") {
        /// Number of training steps. Each step updates the weights once.
        steps: u64 = 500 => {
            label: "Steps",
            basic: true,
            usual: "a few hundred for words, a few thousand for sentences",
            formula: "tokens seen = steps · batch size · sequence length",
        },
        /// Number of sequences, or preference pairs, in each batch. Larger batches give steadier updates, and need more time
        /// and memory per step.
        batch_size: usize = 4 => {
            label: "Batch size",
            unit: "sequences",
            range: Range::at_least(1.0),
            basic: true,
            usual: "4 to 64",
            formula: "tokens per step = batch size · sequence length",
            source: "McCandlish et al. 2018",
        },
        /// Number of batches whose gradients are averaged into one step: a larger batch without more memory.
        grad_accum: usize = 1 => {
            label: "Gradient accumulation",
            unit: "batches",
            // The batches of a step are computed one after the other, without a pause.
            range: Range::at_least(1.0).at_most((1u64 << 16) as f64),
            usual: "1",
            formula: "g = mean of the batches’ g",
        },
        /// Order in which the gradients of a step's batches are added up. Replicas of the model (dp) need the tree, which is
        /// the default on several ranks.
        accumulation: Accumulation = Accumulation::Chain => {
            label: "Order of accumulation",
            applies_if: unless("grad_accum", "1"),
            usual: "chain; tree on several ranks",
        },
        /// Keeps only the input of each block and computes the rest again in the backward pass: less memory for about a third
        /// more time.
        gradient_checkpointing: bool = false => {
            label: "Gradient checkpointing",
            usual: "off",
            source: "Chen et al. 2016",
        },
        /// Number format of the forward and backward pass. 16 bits need half the memory where the device supports them;
        /// tf32 makes matrix products on CUDA faster. Weights, optimizer state, evaluation and sampling are f32 always.
        precision: Precision = Precision::F32 => {
            label: "Precision",
            usual: "f32, or bf16 on CUDA",
            source: "Micikevicius et al. 2018",
        },
        /// Seed of initial weights, batches and dropout. The same seed, settings and device give the same run.
        seed: u64 = 1337 => { label: "Seed" },
        /// Number of steps between measurements of the validation loss. With 0, it is measured at the end only.
        eval_every: u64 = 100 => { label: "Validate every", unit: "steps" },
    }
    groups {
        /// The optimizer.
        optimizer: OptimizerConfig,
        /// The learning-rate schedule.
        schedule: ScheduleConfig,
        /// The loss.
        objective: ObjectiveConfig,
        /// Low-rank adapters.
        lora: LoraConfig,
        /// Saving.
        checkpoints: CheckpointConfig,
    }
}

impl TrainConfig {
    /// Returns the defaults of fine-tuning: a tenth of the learning rate and no weight decay, so that what the model has
    /// learned is kept.
    pub fn fine_tuning() -> Self {
        let mut train = Self::default().for_fine_tuning();
        train.optimizer.weight_decay = 0.0;
        train
    }

    /// Returns these settings with a tenth of the learning rate, so that a trained model is adjusted and not replaced.
    pub fn for_fine_tuning(self) -> Self {
        self.with_lr_scaled(0.1)
    }

    /// Returns these settings for adapters, which need about ten times the learning rate of the weights themselves
    /// (Schulman et al. 2025, "LoRA Without Regret").
    pub fn for_adapters(self) -> Self {
        self.with_lr_scaled(10.0)
    }

    fn with_lr_scaled(mut self, factor: f64) -> Self {
        // Without the digits that a product of decimal fractions adds in binary.
        let scaled = |rate: f64| format!("{:.12e}", rate * factor).parse().expect("it is a number");
        self.optimizer.lr = scaled(self.optimizer.lr);
        self.schedule.min_lr = scaled(self.schedule.min_lr);
        self
    }

    /// Whether adapters are trained instead of the weights.
    pub fn adapts(&self) -> bool {
        self.lora.is_enabled()
    }

    /// Returns these settings with new values of the three that may change during a run. `min_lr` stays, but is lowered
    /// to `lr` where it would be above it.
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

    /// Returns the number of steps from `step` to the next evaluation, save or, every `sample_every` steps, sample.
    pub fn steps_undisturbed(&self, step: u64, sample_every: u64) -> u64 {
        let until = |every: u64| every - step % every;
        let every = [self.eval_every, self.checkpoints.save_every, sample_every];
        every.into_iter().filter(|every| *every > 0).map(until).min().unwrap_or(u64::MAX)
    }

    /// Refuses settings that `replicas` of the model, each divided among `stages` and each layer into `parts`, cannot train with
    /// together.
    ///
    /// # Errors
    /// The replicas cannot divide the batches of a step; gradients are added up in a chain, which has no parts; as
    /// [`Self::suits_division`].
    pub fn suits_ranks(&self, replicas: usize, stages: usize, parts: usize) -> Result<()> {
        let batches = self.grad_accum;
        require(
            batches.is_multiple_of(replicas),
            "grad_accum",
            format!("the {batches} batches of a step cannot be divided among {replicas} replicas"),
            &format!(
                "use a multiple of {replicas}, such as {}",
                batches.next_multiple_of(replicas)
            ),
        )?;
        require(
            replicas == 1 || self.accumulation == Accumulation::Tree,
            "accumulation",
            format!("{replicas} replicas cannot add up gradients in a chain"),
            "set it to tree",
        )?;
        self.suits_division(stages, parts)
    }

    /// Refuses settings that the `stages` of a pipeline, and ranks that divide each layer into `parts`, cannot train with.
    ///
    /// # Errors
    /// There are adapters, or the optimizer needs whole matrices of divided layers.
    pub fn suits_division(&self, stages: usize, parts: usize) -> Result<()> {
        require(
            stages == 1 || !self.adapts(),
            "lora_rank",
            "a pipeline cannot train adapters",
            "use `parallel` with dp alone, or train all weights",
        )?;
        require(
            parts == 1 || !self.adapts(),
            "lora_rank",
            "ranks that divide layers (tp) cannot train adapters",
            "use `parallel` with dp alone, or train all weights",
        )?;
        require(
            parts == 1 || self.optimizer.kind == OptimizerKind::Adamw,
            "optimizer",
            "muon needs whole matrices, which ranks that divide layers (tp) do not have",
            "set it to adamw, or use `parallel` with dp and pp",
        )
    }

    /// Refuses settings that cannot be trained with.
    ///
    /// # Errors
    /// The first setting that is out of range or contradicts another.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()?;
        self.lora.validate()?;
        let adamw = self.optimizer.kind == OptimizerKind::Adamw;
        require(
            !self.adapts() || adamw,
            "lora_rank",
            "muon cannot train adapters: it is meant for whole matrices",
            "set `optimizer` to adamw",
        )?;
        require(
            self.precision != Precision::F16 || adamw,
            "precision",
            "f16 needs adamw, which can skip a step whose gradients overflow",
            "use bf16 or f32 with muon",
        )?;
        require(
            self.schedule.min_lr <= self.optimizer.lr,
            "min_lr",
            format!("{} exceeds the `lr` of {}", self.schedule.min_lr, self.optimizer.lr),
            "use a tenth of `lr`",
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
    fn the_next_interruption_is_the_nearest() {
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
