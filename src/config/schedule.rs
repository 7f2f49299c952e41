//! The learning-rate schedule.

use super::declare::{choices, settings};
use super::range::Range;
use super::setting::{unless, when};

choices! {
    /// Learning-rate schedule.
    pub enum ScheduleKind {
        /// Half a cosine from `lr` to `min_lr` (Loshchilov & Hutter 2017).
        Cosine = "cosine", "cosine";
        /// A straight line from `lr` to `min_lr`.
        Linear = "linear", "linear";
        /// `lr` throughout.
        Constant = "constant", "constant";
        /// `lr` throughout, then a straight line to `min_lr` over `decay_steps` (Hu et al. 2024).
        WarmupStableDecay = "warmup_stable_decay", "stable, then decay";
    }
}

settings! {
    /// Settings of the learning-rate schedule.
    pub struct ScheduleConfig ("Learning-rate schedule") {
        /// How the learning rate changes over the run, after warm-up.
        #[serde(rename = "schedule")]
        kind: ScheduleKind = ScheduleKind::Cosine => {
            label: "Schedule",
            usual: "cosine",
            formula: "cosine: ηₘᵢₙ + ½ (η − ηₘᵢₙ)(1 + cos π t)",
            source: "Loshchilov & Hutter 2017; Hu et al. 2024",
        },
        /// Learning rate at the end of the schedule.
        min_lr: f64 = 1e-4 => {
            label: "Final learning rate",
            range: Range::at_least(0.0),
            applies_if: unless("schedule", "constant"),
            default_rule: "in proportion to `lr`",
            usual: "a tenth of `lr` or less",
            formula: "ηₘᵢₙ in the schedule’s formula",
            source: "Hoffmann et al. 2022",
        },
        /// Number of steps over which the learning rate rises from 0, so that the first updates are small.
        warmup_steps: u64 = 20 => {
            label: "Warm-up",
            unit: "steps",
            usual: "1 to 5% of `steps`",
            formula: "η · t ∕ (warm-up + 1)",
            source: "Goyal et al. 2017",
        },
        /// Number of steps at the end over which the learning rate falls.
        decay_steps: u64 = 100 => {
            label: "Decay",
            unit: "steps",
            applies_if: when("schedule", "warmup_stable_decay"),
            usual: "a fifth of `steps`",
            formula: "ηₘᵢₙ + (η − ηₘᵢₙ) · steps left ∕ decay",
            source: "Hu et al. 2024",
        },
    }
}

impl ScheduleConfig {
    /// Returns the default schedule with another number of warm-up steps.
    pub fn with_warmup(warmup_steps: u64) -> Self {
        Self { warmup_steps, ..Self::default() }
    }
}
