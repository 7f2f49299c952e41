//! The only training loop there is, natively and in the page: [`Trainer::step`], called by an edge.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::TrainConfig;
use crate::data::{Batch, Layout, Windows};
use crate::error::{Error, Result};
use crate::eval::PreferenceFigures;
use crate::kernels::precision;
use crate::model::{Decoder, LossOptions, NamedGradients, TokenIds, read_floats};
use crate::optim::{Optimizer, learning_rate};

/// A loss scale below this has been halved so often that it is not f16 the gradients are too large for.
const LOWEST_LOSS_SCALE: f32 = 1e-4;

/// A model in training.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// None only while the optimizer holds it.
    model: Option<Decoder>,
    optimizer: Optimizer,
    windows: Windows,
    config: TrainConfig,
    step: u64,
    tokens_seen: u64,
}

/// What one step leaves behind. The figures stay on the device until [`StepReport::read`].
#[derive(Debug)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Its learning rate.
    pub lr: f64,
    /// Tokens it trained on.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    /// The loss, of preference pairs their two figures, the gradient norm and, in f16, the next loss scale: `[2]`
    /// to `[5]`.
    figures: Tensor<1>,
    pairs: bool,
}

/// A step's figures on the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFigures {
    /// Steps done, this one included.
    pub step: u64,
    /// Its learning rate.
    pub lr: f64,
    /// Tokens it trained on.
    pub tokens: usize,
    /// Tokens trained on since the run began, those of this step included.
    pub tokens_seen: u64,
    /// Mean cross-entropy, nats per token, with the z-loss where [`TrainConfig::z_loss`] is set; the mean loss of
    /// preference pairs.
    pub loss: f32,
    /// Of preference pairs.
    pub preference: Option<PreferenceFigures>,
    /// Global gradient norm before clipping; none where gradients overflowed f16, and the step changed nothing.
    pub grad_norm: Option<f32>,
}

impl StepReport {
    /// Waits for the device and reads the figures.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss is not finite, or the gradient norm is not although nothing overflowed;
    /// `saved` says, in words, which checkpoint is still good.
    pub async fn read(self, saved: &str) -> Result<StepFigures> {
        let figures = read_floats(self.figures).await?;
        let (loss, figures) = (figures[0], &figures[1..]);
        let (pairs, figures) = figures.split_at(if self.pairs { 2 } else { 0 });
        let preference = pairs
            .first_chunk()
            .map(|pair: &[f32; 2]| pair.map(f64::from))
            .map(|[margin, accuracy]| PreferenceFigures { margin, accuracy });
        let grad_norm = Some(figures[0]).filter(|norm| norm.is_finite());
        let halved = figures.get(1).is_some_and(|scale| *scale >= LOWEST_LOSS_SCALE);
        if !loss.is_finite() || (grad_norm.is_none() && !halved) {
            let loss = if loss.is_finite() { f32::NAN } else { loss };
            return Err(Error::Diverged { step: self.step, loss, saved: saved.into() });
        }
        let Self { step, lr, tokens, tokens_seen, .. } = self;
        Ok(StepFigures { step, lr, tokens, tokens_seen, loss, preference, grad_norm })
    }
}

impl Trainer {
    /// Training of `model`, which must live on an automatic differentiation device, from step 0.
    pub fn new(model: Decoder, config: &TrainConfig, windows: Windows) -> Result<Self> {
        config.validate()?;
        precision::require(config.precision, &model.device())?;
        if windows.corpus().layout == Layout::Pairs && config.objective.z_loss > 0.0 {
            let problem = "the loss of preference pairs has none";
            return Err(Error::config("z_loss", problem, "set it to 0"));
        }
        Ok(Self {
            model: Some(model),
            optimizer: Optimizer::new(config),
            windows,
            config: config.clone(),
            step: 0,
            tokens_seen: 0,
        })
    }

    /// Goes on after `step` steps with the optimizer's memory of then.
    pub fn resume(
        mut self,
        step: u64,
        moments: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Self> {
        self.step = step;
        self.optimizer.load_state(moments, &self.device().inner())?;
        Ok(self)
    }

    /// Counts on from the tokens that were trained on before: the step does not tell, for the batch size may
    /// have changed on the way.
    pub fn having_seen(mut self, tokens: u64) -> Self {
        self.tokens_seen = tokens;
        self
    }

    /// Makes one optimizer step on the next batches and returns without waiting for the device.
    ///
    /// # Errors
    /// A token of the data that the model's vocabulary does not have.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_on(&self.next_batches())
    }

    /// A step on a copy of everything, which is thrown away: what a step launches is launched, and nothing else
    /// comes of it.
    ///
    /// # Errors
    /// As of [`Self::step`].
    pub fn rehearse(&self) -> Result<()> {
        self.clone().step().map(drop)
    }

    /// The gradients, not yet clipped, that [`Self::step`] would go by next. Makes no step.
    ///
    /// # Errors
    /// As of [`Self::step`].
    pub fn next_gradients(&self) -> Result<NamedGradients> {
        Ok(self.loss_and_gradients(&self.next_batches())?.1)
    }

    /// [`Self::next_gradients`] of another model, as if it had been reached after `step` steps. It must live on
    /// an automatic differentiation device.
    ///
    /// # Errors
    /// As of [`Self::step`].
    pub fn next_gradients_of(&self, model: Decoder, step: u64) -> Result<NamedGradients> {
        Self { model: Some(model), step, ..self.clone() }.next_gradients()
    }

    fn next_batches(&self) -> Vec<Batch> {
        let accumulate = self.config.grad_accum as u64;
        (0..accumulate).map(|micro| self.windows.batch(self.step * accumulate + micro)).collect()
    }

    /// Makes one optimizer step on the mean loss over `batches`, whatever the corpus.
    ///
    /// # Errors
    /// A token that the model's vocabulary does not have.
    pub fn step_on(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let (loss, gradients) = self.loss_and_gradients(batches)?;
        let step = self.step + 1;
        let model = self.model.take().expect("the optimizer gives it back");
        let (model, norm) = self.optimizer.step(model, gradients, step);
        let tokens = batches.iter().map(|batch| batch.inputs.len()).sum();
        self.model = Some(model);
        self.step = step;
        self.tokens_seen += tokens as u64;
        let pairs = batches.iter().any(|batch| batch.reference.is_some());
        let mut figures = vec![loss, norm];
        figures.extend(self.optimizer.loss_scale(&self.device().inner()));
        Ok(StepReport {
            step,
            lr: learning_rate(&self.config, step),
            tokens,
            tokens_seen: self.tokens_seen,
            figures: Tensor::cat(figures, 0),
            pairs,
        })
    }

    /// The mean loss over `batches` at the next step, followed by the figures of preference pairs, and its gradients.
    fn loss_and_gradients(&self, batches: &[Batch]) -> Result<(Tensor<1>, NamedGradients)> {
        let (step, device) = (self.step + 1, self.device());
        let terms: usize = batches.iter().map(Batch::terms).sum();
        // Each micro-batch counts by its targets or pairs, so that the sum is the large batch's mean.
        let scale = 1.0 / terms.max(1) as f64;
        let loss_scale = self.optimizer.loss_scale(&device.clone().inner());
        let mut gradients = NamedGradients::new();
        let mut loss: Option<Tensor<1>> = None;
        for (micro, batch) in batches.iter().enumerate() {
            let vocab = self.inner().config().vocab_size;
            let ids = TokenIds::from_batch(batch, vocab, &device)?;
            let dropout_seed = Some(dropout_seed(self.config.seed, step, micro));
            let z_loss = self.config.objective.z_loss;
            let precision = self.config.precision;
            let reference = batch.reference.as_ref();
            let options = LossOptions { scale, z_loss, dropout_seed, precision, reference };
            let recompute = self.config.gradient_checkpointing;
            let (part, mut found) = self.inner().loss_and_gradients(
                ids,
                &batch.targets,
                options,
                recompute,
                loss_scale.clone(),
            )?;
            for (name, gradient) in std::mem::take(&mut gradients) {
                found.entry(name).and_modify(|sum| sum.inplace(|sum| sum + gradient));
            }
            gradients = found;
            loss = Some(loss.map_or(part.clone(), |sum| sum + part));
        }
        Ok((loss.expect("at least one micro-batch"), gradients))
    }

    /// The model without automatic differentiation, its adapters merged: for evaluation, sampling and looking inside.
    pub fn model(&self) -> Decoder {
        self.in_training().merge_adapters()
    }

    /// The model without automatic differentiation as it is trained, adapters apart: for saving.
    pub fn in_training(&self) -> Decoder {
        self.inner().valid()
    }

    /// The optimizer's memory.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Tokens trained on since the run began.
    pub fn tokens_seen(&self) -> u64 {
        self.tokens_seen
    }

    /// What it trains on.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The settings it trains with.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Goes on with other settings, as [`TrainConfig::adjusted`] gives them, from the next step on.
    pub fn adjust(&mut self, config: &TrainConfig) {
        self.windows.set_batch_size(config.batch_size);
        self.optimizer.adjust(config);
        self.config = config.clone();
    }

    /// Goes on with other data.
    pub fn set_windows(&mut self, windows: Windows) {
        self.windows = windows;
    }

    fn device(&self) -> Device {
        self.inner().device()
    }

    fn inner(&self) -> &Decoder {
        self.model.as_ref().expect("the optimizer gives it back")
    }
}

/// Seed of the dropout masks of one micro-batch: a function of nothing but its number, so that a resumed run
/// repeats them (the finalizer of SplitMix64, Steele et al. 2014).
fn dropout_seed(seed: u64, step: u64, micro: usize) -> u32 {
    let mut x =
        seed.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ ((micro as u64) << 48);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x >> 32) as u32
}
