//! The training step: [`Trainer::step`], the only one there is, natively and in the browser.
//!
//! ```
//! use blankslate::config::{DataConfig, ModelConfig, OptimizerConfig, TrainConfig};
//! use blankslate::data::{Corpus, Tokens, Windows};
//! use blankslate::model::{Decoder, random_source};
//! use blankslate::platform::{block_on, open_device};
//! use blankslate::train::Trainer;
//!
//! # fn main() -> blankslate::error::Result<()> {
//! # block_on(async {
//! let (device, _) = open_device("cpu").await?;
//! let corpus = Corpus::new(Tokens::from_ids((0..200).map(|i| i % 10).collect()));
//! let data = DataConfig { seq_len: 8, ..DataConfig::default() };
//! let optimizer = OptimizerConfig::with_lr(1e-2);
//! let config = TrainConfig { steps: 10, optimizer, ..TrainConfig::default() };
//! let windows = Windows::new(corpus, &data, config.batch_size, config.seed)?;
//! let model = ModelConfig::gpt2(10).with_context(8).with_hidden_size(16).with_layers(1).with_heads(2);
//! let model = Decoder::new(&model, &device.autodiff(), &mut random_source(config.seed))?;
//!
//! let mut trainer = Trainer::new(model, &config, windows)?;
//! for _ in 0..config.steps {
//!     // Does not wait for the device; `read` does.
//!     let report = trainer.step()?;
//!     let figures = report.read("nothing was saved").await?;
//!     println!("step {}: loss {}", figures.step, figures.loss);
//! }
//! # Ok(())
//! # })
//! # }
//! ```

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;

use crate::config::TrainConfig;
use crate::data::{Batch, BatchSource, Windows};
use crate::error::{Error, Result};
use crate::kernels::precision;
use crate::model::{Decoder, NamedGradients, PassOptions};
use crate::objective::{
    DeviceValues, GradientOptions, LOSS, Metrics, Objective, loss_and_gradients, objective_for,
    validate,
};
use crate::optim::{Optimizer, check_state, learning_rate};

/// Halving the loss scale below this cannot be blamed on the range of f16: the gradients themselves are not finite.
const LOWEST_LOSS_SCALE: f32 = 1e-4;

const GRAD_NORM: &str = "grad_norm";
const LOSS_SCALE: &str = "loss_scale";

/// A model with everything that training it needs.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// None only while the optimizer owns it.
    model: Option<Decoder>,
    objective: Arc<dyn Objective>,
    optimizer: Optimizer,
    source: Arc<dyn BatchSource>,
    config: TrainConfig,
    step: u64,
    tokens_seen: u64,
}

/// The result of one step, still on the device; see [`StepReport::read`].
#[derive(Debug)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens in the step's batches.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    values: DeviceValues,
}

/// The result of one step, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct StepFigures {
    /// Steps done, this one included.
    pub step: u64,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens in the step's batches.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    /// Mean loss over the objective's terms: nats per token for next-token prediction.
    pub loss: f32,
    /// The objective's metrics, means over its terms.
    pub metrics: Metrics,
    /// Global gradient norm before clipping; none if gradients overflowed f16 and the step was skipped.
    pub grad_norm: Option<f32>,
}

impl StepReport {
    /// Waits for the device and reads the figures.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss is not finite, or if the gradient norm is not although no f16 overflow
    /// explains it. `saved` says in words which checkpoint can still be used. A lost device.
    pub async fn read(self, saved: &str) -> Result<StepFigures> {
        let Self { step, lr, tokens, tokens_seen, values } = self;
        let mut metrics = values.read().await?;
        let mut take = |name| metrics.take(name).map(|value| value as f32);
        let loss = take(LOSS).expect("every step has a loss");
        let grad_norm = take(GRAD_NORM).filter(|norm| norm.is_finite());
        let skipped = take(LOSS_SCALE).is_some_and(|scale| scale >= LOWEST_LOSS_SCALE);
        if !loss.is_finite() || (grad_norm.is_none() && !skipped) {
            let loss = if loss.is_finite() { f32::NAN } else { loss };
            return Err(Error::Diverged { step, loss, saved: saved.into() });
        }
        Ok(StepFigures { step, lr, tokens, tokens_seen, loss, metrics, grad_norm })
    }
}

impl Trainer {
    /// Prepares to train `model`, which must be on an autodiff device, from step 0, with the objective that belongs
    /// to the kind of data (see [`objective_for`]).
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are invalid, that the objective does not support or that the device does
    /// not.
    pub fn new(model: Decoder, config: &TrainConfig, windows: Windows) -> Result<Self> {
        let objective = objective_for(windows.corpus().kind, &config.objective)?;
        Self::with_objective(model, config, Arc::new(windows), objective)
    }

    /// As [`Self::new`], with any objective and any source of batches.
    ///
    /// # Errors
    /// As [`Self::new`]; the name of a metric is taken.
    pub fn with_objective(
        model: Decoder,
        config: &TrainConfig,
        source: Arc<dyn BatchSource>,
        objective: Arc<dyn Objective>,
    ) -> Result<Self> {
        config.validate()?;
        precision::require(config.precision, &model.device())?;
        validate(&*objective)?;
        Ok(Self {
            model: Some(model),
            objective,
            optimizer: Optimizer::new(config),
            source,
            config: config.clone(),
            step: 0,
            tokens_seen: 0,
        })
    }

    /// Continues after `step` steps with the optimizer state saved then.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not the state of the optimizer of this model and these settings.
    pub fn resume(
        mut self,
        step: u64,
        optimizer_state: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Self> {
        let optimizer_state: Vec<_> = optimizer_state.into_iter().collect();
        check_state(&self.config, self.inner(), step, &optimizer_state)?;
        self.step = step;
        self.optimizer.load_state(optimizer_state, &self.device().inner())?;
        Ok(self)
    }

    /// Sets the number of tokens already trained on. It does not follow from the step, since the batch size may have
    /// changed during the run.
    pub fn having_seen(mut self, tokens: u64) -> Self {
        self.tokens_seen = tokens;
        self
    }

    /// Makes one optimizer step on the next batches and returns without waiting for the device.
    ///
    /// # Errors
    /// A token outside the model's vocabulary; any error of the objective.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_on(&self.next_batches())
    }

    /// Makes a step on a copy of the trainer and discards the result: launches every kernel that a step launches, and
    /// changes nothing.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn rehearse(&self) -> Result<()> {
        self.clone().step().map(drop)
    }

    /// Returns the gradients, before clipping, of the next [`Self::step`], without making it.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn next_gradients(&self) -> Result<NamedGradients> {
        Ok(self.loss_and_gradients(&self.next_batches())?.1)
    }

    /// Returns [`Self::next_gradients`] of another model, as if training had reached it after `step` steps. The model
    /// must be on an autodiff device.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn next_gradients_of(&self, model: Decoder, step: u64) -> Result<NamedGradients> {
        Self { model: Some(model), step, ..self.clone() }.next_gradients()
    }

    fn next_batches(&self) -> Vec<Batch> {
        let TrainConfig { grad_accum, batch_size, .. } = self.config;
        let first = self.step * grad_accum as u64;
        (0..grad_accum as u64)
            .map(|micro| self.source.nth_batch(first + micro, batch_size))
            .collect()
    }

    /// Makes one optimizer step on the mean loss over `batches`, whatever the trainer's own source of batches.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn step_on(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let (mut values, gradients) = self.loss_and_gradients(batches)?;
        let step = self.step + 1;
        let model = self.model.take().expect("the optimizer returns it");
        let (model, norm) = self.optimizer.step(model, gradients, step);
        let tokens = batches.iter().map(|batch| batch.inputs.len()).sum();
        self.model = Some(model);
        self.step = step;
        self.tokens_seen += tokens as u64;
        values.push(GRAD_NORM, norm);
        if let Some(scale) = self.optimizer.loss_scale(&self.device().inner()) {
            values.push(LOSS_SCALE, scale);
        }
        let lr = learning_rate(&self.config, step);
        Ok(StepReport { step, lr, tokens, tokens_seen: self.tokens_seen, values })
    }

    /// Loss and metrics at the next step, means over all terms in `batches`, and the gradients of the loss.
    fn loss_and_gradients(&self, batches: &[Batch]) -> Result<(DeviceValues, NamedGradients)> {
        let step = self.step + 1;
        let terms: usize = batches.iter().map(|batch| self.objective.terms(batch)).sum();
        let mut options = GradientOptions {
            scale: 1.0 / terms.max(1) as f64,
            pass: PassOptions {
                dropout_seed: None,
                precision: self.config.precision,
                recompute: self.config.gradient_checkpointing,
            },
            loss_scale: self.optimizer.loss_scale(&self.device().inner()),
        };
        let mut gradients = NamedGradients::new();
        let mut values: Option<DeviceValues> = None;
        for (micro, batch) in batches.iter().enumerate() {
            options.pass.dropout_seed = Some(dropout_seed(self.config.seed, step, micro));
            let (found, mut sums) =
                loss_and_gradients(&*self.objective, self.inner(), batch, &options)?;
            for (name, gradient) in std::mem::take(&mut gradients) {
                sums.entry(name).and_modify(|sum| sum.inplace(|sum| sum + gradient));
            }
            gradients = sums;
            values = Some(match values {
                Some(sum) => sum.plus(found)?,
                None => found,
            });
        }
        Ok((values.expect("at least one micro-batch"), gradients))
    }

    /// Returns the model with its adapters merged, not on the autodiff device: for evaluation, sampling and inspection.
    pub fn model(&self) -> Decoder {
        self.in_training().merge_adapters()
    }

    /// Returns the model with separate adapters, not on the autodiff device: for saving.
    pub fn in_training(&self) -> Decoder {
        self.inner().valid()
    }

    /// Returns the optimizer with its state.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Returns the objective, which training minimizes.
    pub fn objective(&self) -> &Arc<dyn Objective> {
        &self.objective
    }

    /// Returns the number of steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Returns the number of tokens trained on since the run began.
    pub fn tokens_seen(&self) -> u64 {
        self.tokens_seen
    }

    /// Returns the source of the batches.
    pub fn source(&self) -> &dyn BatchSource {
        &*self.source
    }

    /// Returns the training settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Changes the settings that may change during training (see [`TrainConfig::adjusted`]), from the next step on.
    pub fn adjust(&mut self, config: &TrainConfig) {
        self.optimizer.adjust(config);
        self.config = config.clone();
    }

    /// Continues with other data.
    pub fn set_windows(&mut self, windows: Windows) {
        self.source = Arc::new(windows);
    }

    fn device(&self) -> Device {
        self.inner().device()
    }

    fn inner(&self) -> &Decoder {
        self.model.as_ref().expect("the optimizer returns it")
    }
}

/// Returns the seed of the dropout masks of one micro-batch. It depends on nothing but its number, so that a resumed
/// run draws the same masks (the finalizer of SplitMix64, Steele et al. 2014).
fn dropout_seed(seed: u64, step: u64, micro: usize) -> u32 {
    let mut x =
        seed.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ ((micro as u64) << 48);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x >> 32) as u32
}
