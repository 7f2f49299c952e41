//! Settings of runs that nobody watches for days.

use super::declare::{choices, settings};
use super::range::Range;
use super::setting::{require, unless};
use super::{Settings, TrainConfig};
use crate::error::Result;

choices! {
    /// What a loss spike leads to.
    pub enum OnSpike {
        /// It is reported, and the step is made.
        Warn = "warn", "report it";
        /// It is reported, and the weights are not updated with the step's batches.
        Skip = "skip", "skip its batches";
        /// It is reported, the run returns to its last checkpoint, and continues with the batches after those of the spike
        /// (Chowdhery et al. 2022). Before the first checkpoint it skips the step.
        Rollback = "rollback", "return to the last checkpoint";
    }
}

settings! {
    /// Settings of runs that nobody watches.
    pub struct LongRunConfig ("Long runs") {
        /// What a step leads to whose loss, or whose gradient norm, is far above those of the steps before. With skip and
        /// rollback, every step waits for its loss before the weights are updated, and a loss that is not finite counts as a
        /// spike instead of ending the run.
        on_spike: OnSpike = OnSpike::Warn => {
            label: "On a loss spike",
            applies_if: unless("spike_threshold", "0"),
            usual: "warn",
            source: "Chowdhery et al. 2022 (PaLM), section 5.1",
        },
        /// Robust z-score from which a loss, or the logarithm of a gradient norm, is a spike. 0 turns detection off. It starts after
        /// half of `spike_window` steps.
        spike_threshold: f64 = 8.0 => {
            label: "Spike threshold",
            range: Range::at_least(0.0),
            usual: "6 to 10",
            formula: "z = (x − median) ∕ max(1.4826 · MAD, floor); floor: 1% of the median loss and at least 0.01, 0.25 for the logarithm of the norm",
            source: "Iglewicz & Hoaglin 1993",
        },
        /// Number of steps before a step that its loss and its gradient norm are compared with.
        spike_window: usize = 128 => {
            label: "Spike window",
            unit: "steps",
            range: Range::at_least(8.0).at_most(4096.0),
            applies_if: unless("spike_threshold", "0"),
            usual: "128",
        },
        /// Decay of the exponential moving average of the weights, which is saved beside them as ema.safetensors. 0 turns it off.
        ema_decay: f64 = 0.0 => {
            label: "EMA decay",
            range: Range::at_least(0.0).below(1.0),
            usual: "0.999 or 0.9999",
            formula: "a ← d · a + (1 − d) · w, from the weights of the step at which it is turned on",
            source: "Polyak & Juditsky 1992",
        },
        /// Evaluates, and samples from, the moving average of the weights instead of the weights during training. Best checkpoint
        /// and early stopping then follow it, too.
        eval_ema: bool = false => {
            label: "Evaluate the EMA",
            applies_if: unless("ema_decay", "0"),
        },
        /// Number of evaluations in a row without a lower validation loss after which training ends early. 0 turns it off.
        early_stopping_patience: u64 = 0 => {
            label: "Early stopping",
            unit: "evaluations",
            usual: "5 to 10",
            source: "Prechelt 1998",
        },
        /// Decrease of the validation loss, in nats per token, below which an evaluation counts as no improvement.
        early_stopping_min_delta: f64 = 0.0 => {
            label: "Least improvement",
            range: Range::at_least(0.0),
            applies_if: unless("early_stopping_patience", "0"),
        },
        /// Writes checkpoints in a thread of their own while training continues. It takes memory for one checkpoint more.
        background_saves: bool = true => { label: "Save in the background" },
    }
}

impl LongRunConfig {
    /// Returns true if a step waits for its loss before it changes the weights.
    pub fn holds_steps(&self) -> bool {
        self.spike_threshold > 0.0 && self.on_spike != OnSpike::Warn
    }

    /// Returns true if the weights are averaged.
    pub fn averages(&self) -> bool {
        self.ema_decay > 0.0
    }

    /// Refuses settings that are out of range or do not go together with `train` on replicas that are divided among `stages`, and
    /// each layer among `parts`, of `ranks` ranks.
    ///
    /// # Errors
    /// The first such setting.
    pub fn suits(
        &self,
        train: &TrainConfig,
        ranks: usize,
        stages: usize,
        parts: usize,
    ) -> Result<()> {
        self.validate_ranges()?;
        require(
            !self.averages() || !train.adapts(),
            "ema_decay",
            "adapters have no average of their own",
            "leave it out with `lora_rank`",
        )?;
        require(
            !self.averages() || stages * parts == 1,
            "ema_decay",
            "ranks that divide the model (pp, tp) cannot average it",
            "leave it out, or use `parallel` with dp alone",
        )?;
        require(
            !self.eval_ema || self.averages(),
            "eval_ema",
            "there is no average to evaluate",
            "set `ema_decay` as well",
        )?;
        require(
            ranks == 1 || !self.holds_steps() || self.on_spike == OnSpike::Skip,
            "on_spike",
            "several ranks cannot return to a checkpoint together",
            "use `skip`, or start a single process",
        )?;
        require(
            stages == 1 || !self.holds_steps(),
            "on_spike",
            "the stages of a pipeline (pp) cannot wait for the loss of a step",
            "use `warn`, or `parallel` with dp and tp",
        )
    }
}
