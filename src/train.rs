//! The training step: [`Trainer::step`], the same natively and in the browser.
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

mod average;
mod gradients;
mod held;
mod lasting;
mod passes;
mod report;
mod values;

pub use average::Average;
pub use held::HeldStep;
pub use report::{StepFigures, StepReport};

use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::Device;

use crate::config::TrainConfig;
use crate::data::{Batch, BatchSource, Windows};
use crate::error::Result;
use crate::kernels::precision;
use crate::model::{Decoder, NamedGradients, Part, PassOptions, trained_shapes};
use crate::objective::{
    DeviceValues, GradientOptions, Objective, objective_for, suits_division, validate,
};
use crate::optim::{Optimizer, Shards, Slices, Stages, WholeModel, check_state_of, learning_rate};
use crate::parallel::{Accumulated, Bounds, Mesh, Reduction, Sharding, sum_counts};
use crate::{HAS_LONG_RUNS, HAS_RANKS};
use passes::{Passed, Passes, share_table};
use report::{GRAD_NORM, LOSS_SCALE};

/// A model with its objective, optimizer and source of batches.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// None only while the optimizer owns it.
    model: Option<Decoder>,
    objective: Arc<dyn Objective>,
    optimizer: Optimizer,
    source: Arc<dyn BatchSource>,
    mesh: Mesh,
    /// Layers of the model on this rank: all of them without a pipeline.
    part: Part,
    config: TrainConfig,
    step: u64,
    /// Steps by which the batches are ahead of `step`.
    passed_over: u64,
    tokens_seen: u64,
    /// Moving average of the weights, if there is one.
    average: Option<Average>,
    /// Cache of the whole model after the last step.
    whole: WholeModel,
    /// Names of the loss and metrics on the last stage of a pipeline, known from the first step on.
    names: OnceLock<Vec<&'static str>>,
}

impl Trainer {
    /// Creates a trainer at step 0 for `model`, which must be on an autodiff device, with the objective for the kind
    /// of data (see [`objective_for`]).
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for settings that are invalid, that the objective does not support or that
    /// the device does not.
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
        let part = Part::whole(model.config());
        Ok(Self {
            model: Some(model),
            objective,
            optimizer: Optimizer::new(config),
            source,
            mesh: Mesh::alone(),
            part,
            config: config.clone(),
            step: 0,
            passed_over: 0,
            tokens_seen: 0,
            average: None,
            whole: WholeModel::default(),
            names: OnceLock::new(),
        })
    }

    /// Distributes training over the ranks of `mesh`, which have the same model, settings and data. Each replica computes an
    /// equal number of a step's micro-batches. This rank frees the weights of other stages and tensor-parallel ranks. Call it
    /// before [`Self::resume`] and the first step.
    ///
    /// # Errors
    /// As [`TrainConfig::suits_ranks`], [`suits_division`], [`Part::divide`] and [`Decoder::divided`].
    pub fn distributed(mut self, mesh: impl Into<Mesh>, sharding: Sharding) -> Result<Self> {
        let mesh = mesh.into();
        if !HAS_RANKS {
            return Ok(self);
        }
        let layout = mesh.layout();
        self.config.suits_ranks(layout.dp, layout.pp, layout.tp)?;
        suits_division(&*self.objective, layout.tp)?;
        if mesh.divides_layers() {
            self.optimizer.slice(Slices::new(self.inner(), &mesh));
            let model = self.model.take().expect("the optimizer returns it");
            self.model = Some(model.divided(mesh.tensor.clone())?);
        }
        if mesh.has_pipeline() {
            let mut parts = Part::divide(self.inner().config(), layout.pp)?;
            let stages = Stages::new(self.inner(), &parts, &mesh);
            self.optimizer.divide(stages);
            self.part = parts.swap_remove(mesh.stage());
            self.model = self.model.take().map(|model| model.reduced_to(&self.part));
        }
        if sharding != Sharding::None {
            let mut shapes = trained_shapes(self.inner());
            shapes.retain(|name, _| self.part.trains(name));
            let (device, replicas) = (self.device().inner(), mesh.replicas.clone());
            self.optimizer.shard(Shards::new(shapes, device, &self.config, replicas, sharding));
        }
        self.mesh = mesh;
        Ok(self)
    }

    /// Continues after `step` steps with the optimizer state saved then.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::error::Error::Malformed) if it is not the state of the optimizer of this model and these
    /// settings.
    pub fn resume(
        mut self,
        step: u64,
        optimizer_state: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Self> {
        let optimizer_state: Vec<_> = optimizer_state.into_iter().collect();
        let shapes = self.optimizer.shapes_of_all().unwrap_or_else(|| trained_shapes(self.inner()));
        check_state_of(&self.config, shapes, step, &optimizer_state)?;
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

    fn next_batches(&self) -> Vec<Batch> {
        let TrainConfig { grad_accum, batch_size, .. } = self.config;
        let own = grad_accum / self.mesh.replicas.size();
        let first = (self.step + self.passed_over) * grad_accum as u64
            + (self.mesh.replicas.rank() * own) as u64;
        (0..own as u64).map(|micro| self.source.nth_batch(first + micro, batch_size)).collect()
    }

    /// Makes one optimizer step on the mean loss over `batches` of all ranks, instead of the trainer's own source of batches.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn step_on(&mut self, batches: &[Batch]) -> Result<StepReport> {
        // Frees the gathered model.
        self.whole = WholeModel::default();
        self.update(self.differentiated(batches)?)
    }

    /// Returns loss and gradients of the next step, in the parts that the optimizer needs.
    fn differentiated(&self, batches: &[Batch]) -> Result<Differentiated> {
        let in_parts = self.optimizer.shards().is_some_and(Shards::of_gradients);
        let end = if in_parts { Reduction::parts } else { Reduction::whole };
        self.loss_and_gradients(batches, end)
    }

    /// Makes the step whose loss and gradients were computed.
    fn update(&mut self, found: Differentiated) -> Result<StepReport> {
        self.whole = WholeModel::default();
        let Differentiated { mut values, gradients, tokens, most_kept } = found;
        let step = self.step + 1;
        let model = self.model.take().expect("the optimizer returns it");
        let (model, norm) = self.optimizer.step(model, gradients, step)?;
        self.model = Some(share_table(model, &self.part, &self.mesh, step)?);
        if HAS_LONG_RUNS && let Some(average) = &mut self.average {
            average.add(self.model.as_ref().expect("it was just put there"));
        }
        self.step = step;
        self.tokens_seen += tokens;
        values.push(GRAD_NORM, norm);
        if let Some(scale) = self.optimizer.loss_scale(&self.device().inner()) {
            values.push(LOSS_SCALE, scale);
        }
        let lr = learning_rate(&self.config, step);
        let (tokens, tokens_seen) = (tokens as usize, self.tokens_seen);
        Ok(StepReport { step, lr, tokens, tokens_seen, most_kept, values })
    }

    /// Computes loss and metrics of the next step, means over all terms in `batches` of all replicas, and the gradients of this
    /// rank's parameters. `end` waits for the reduction over replicas.
    fn loss_and_gradients(
        &self,
        batches: &[Batch],
        end: fn(Reduction) -> Result<NamedGradients>,
    ) -> Result<Differentiated> {
        let step = self.step + 1;
        let replicas = &self.mesh.replicas;
        let terms: usize = batches.iter().map(|batch| self.objective.terms(batch)).sum();
        let tokens: usize = batches.iter().map(|batch| batch.inputs.len()).sum();
        let label = |what: &str| format!("step {step}: {what}");
        let counts = [terms as u64, tokens as u64];
        let [terms, tokens] = sum_counts(&**replicas, &label("the number of terms"), counts)?;
        let last = batches.len() - 1;
        let first = replicas.rank() * batches.len();
        let loss_scale = self.optimizer.loss_scale(&self.device().inner());
        let options = |micro: usize| GradientOptions {
            scale: 1.0 / terms.max(1) as f64,
            pass: PassOptions {
                dropout_seed: Some(dropout_seed(self.config.seed, step, first + micro)),
                precision: self.config.precision,
                recompute: self.config.gradient_checkpointing,
                // Communication of the last blocks' gradients overlaps with the backward pass of the first.
                by_block: micro == last && replicas.size() > 1,
            },
            loss_scale: loss_scale.clone(),
        };
        let options: Vec<GradientOptions> = (0..batches.len()).map(options).collect();
        let (part, mesh, model) = (&self.part, &self.mesh, self.inner());
        let mut gradients = Accumulated::new(self.config.accumulation);
        let mut reduction = Reduction::new(replicas.clone(), label("the gradients"));
        let (objective, options) = (&*self.objective, &options);
        let passes = Passes { part, mesh, objective, model, batches, options, step };
        let Passed { values, most_kept } = passes.run(&mut |micro, found| {
            if micro < last {
                gradients.add(found);
            } else {
                reduction.start(gradients.finish(found), |name, len| self.bounds(name, len));
            }
        })?;
        let values = self.sum_values(values, &label("the loss"))?;
        Ok(Differentiated { values, gradients: end(reduction)?, tokens, most_kept })
    }

    /// Returns each replica's shard of the parameter `name`, which has `len` numbers.
    fn bounds(&self, name: &str, len: usize) -> Bounds {
        match self.optimizer.shards() {
            Some(shards) => shards.bounds(name).clone(),
            None => Bounds::even(len, self.mesh.replicas.size()),
        }
    }

    /// Returns the whole model with separate adapters, not on the autodiff device, on rank 0; none on the others. All ranks must
    /// call it. A divided model is gathered at most once per step.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn whole_model(&self) -> Result<Option<Decoder>> {
        let whole = self.whole.get(&self.in_training(), &self.optimizer)?;
        Ok(whole.filter(|_| self.mesh.all.rank() == 0))
    }

    /// Returns the model with its adapters merged, not on the autodiff device: for evaluation, sampling and inspection. With
    /// several ranks, returns this rank's part.
    pub fn model(&self) -> Decoder {
        self.in_training().merge_adapters()
    }

    /// Returns the model with separate adapters, not on the autodiff device: for saving.
    pub fn in_training(&self) -> Decoder {
        self.inner().valid()
    }

    /// Returns the part of the model that this rank trains.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Returns the cache of the whole model after the last step, for saving.
    pub fn whole(&self) -> &WholeModel {
        &self.whole
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

/// The results of differentiating the loss of a step.
struct Differentiated {
    values: DeviceValues,
    gradients: NamedGradients,
    /// Tokens of all ranks.
    tokens: u64,
    most_kept: usize,
}

/// Returns the seed of the dropout masks of one micro-batch (the finalizer of SplitMix64, Steele et al. 2014). It depends on
/// the arguments only, so that a resumed run draws the same masks.
fn dropout_seed(seed: u64, step: u64, micro: usize) -> u32 {
    let mut x =
        seed.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ ((micro as u64) << 48);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x >> 32) as u32
}
