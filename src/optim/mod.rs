//! Optimizers: AdamW, optionally with Muon for the matrices inside the blocks.
//!
//! Scalars such as the learning rate are pure functions of the step and computed on the host. Gradient norm and clipping
//! stay on the device, so a step needs no synchronization.
//!
//! ```
//! use blankslate::config::{OptimizerConfig, ScheduleConfig, TrainConfig};
//! use blankslate::optim::learning_rate;
//!
//! let config = TrainConfig {
//!     steps: 100,
//!     optimizer: OptimizerConfig::with_lr(1e-3),
//!     schedule: ScheduleConfig { min_lr: 1e-4, warmup_steps: 9, ..ScheduleConfig::default() },
//!     ..TrainConfig::default()
//! };
//! assert!((learning_rate(&config, 1) - 1e-4).abs() < 1e-12); // warm-up
//! assert!((learning_rate(&config, 100) - 1e-4).abs() < 1e-12); // end of the decay
//! ```

mod muon;
mod params;
mod schedule;
mod shards;
mod slices;
mod stages;
mod state;
mod whole;

pub use params::{Groups, NamedTensors, put};
pub use schedule::{learning_rate, schedule_factor};
pub use shards::Shards;
pub use slices::Slices;
pub use stages::Stages;
pub use state::{check_state, check_state_of};
pub use whole::WholeModel;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{Precision, TrainConfig};
use crate::error::{Error, Result};
use crate::kernels::adamw::{self, Moments, Step, norm_block, norm_of, partial_squares};
use crate::kernels::cost::Cost;
use crate::model::{Decoder, NamedGradients};
use crate::parallel::of_ranks;
use muon::{Muon, Rule};
use params::{Take, Taken};
use state::{FIRST, LOSS_SCALE, SECOND, uses_muon};

/// Initial loss scale of f16 and the number of steps without overflow. PyTorch's `GradScaler` starts at 65536 and skips
/// the first steps, whose gradients are large, until the scale is small enough.
const FIRST_LOSS_SCALE: [f32; 2] = [4096.0, 0.0];

/// Returns the cost of a step that updates parameters of these names and shapes.
pub fn cost<'a>(
    config: &TrainConfig,
    params: impl IntoIterator<Item = (&'a str, &'a [usize])>,
) -> Cost {
    let of = |(name, shape): (&str, &[usize])| match *shape {
        [rows, columns] if uses_muon(config, name, shape.len()) => muon::cost([rows, columns]),
        _ => adamw::cost(shape.iter().product()),
    };
    params.into_iter().map(of).fold(Cost::default(), |sum, cost| sum + cost)
}

/// An optimizer with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: TrainConfig,
    /// State of the parameters that AdamW updates; none before the first step.
    adamw: Option<Group>,
    /// State of the parameters that Muon updates.
    muon: Muon,
    /// The part of this rank; none if it updates everything that its stage has.
    shards: Option<Shards>,
    /// The parameters of all stages; none without a pipeline.
    stages: Option<Stages>,
    /// The parts of divided layers; none if this rank has whole layers.
    slices: Option<Slices>,
}

/// Parameters that are updated together, sorted by name.
#[derive(Clone, Debug)]
struct Group {
    names: Vec<String>,
    moments: Moments,
}

impl Optimizer {
    /// Creates an optimizer without state.
    pub fn new(config: &TrainConfig) -> Self {
        let muon = Muon::default();
        let config = config.clone();
        Self { config, adamw: None, muon, shards: None, stages: None, slices: None }
    }

    /// Updates only this rank's part of every parameter from now on. Called before the first step and before
    /// [`Self::load_state`].
    pub fn shard(&mut self, shards: Shards) {
        self.shards = Some(shards);
    }

    /// Updates only the parameters of this stage of a pipeline from now on. Called before the first step and before
    /// [`Self::load_state`].
    pub fn divide(&mut self, stages: Stages) {
        self.stages = Some(stages);
    }

    /// Updates only this rank's part of divided layers from now on. Called before the first step and before
    /// [`Self::load_state`].
    pub fn slice(&mut self, slices: Slices) {
        self.slices = Some(slices);
    }

    fn stages(&self) -> Option<&Stages> {
        of_ranks(&self.stages)
    }

    fn slices(&self) -> Option<&Slices> {
        of_ranks(&self.slices)
    }

    /// Returns the parts of all ranks, if the optimizer is divided among them.
    pub fn shards(&self) -> Option<&Shards> {
        of_ranks(&self.shards)
    }

    /// Changes the settings from the next step on; the kind of optimizer stays.
    pub fn adjust(&mut self, config: &TrainConfig) {
        let kind = self.config.optimizer.kind;
        self.config = config.clone();
        self.config.optimizer.kind = kind;
    }

    /// Updates every parameter that has a gradient. `step` counts from 1.
    ///
    /// Returns the model and the global gradient norm before clipping, `[1]`, on the device. The update is in place if
    /// the model's tensors have no other owner. With [`Shards`], every rank updates its parts, from whole gradients or from
    /// parts of them, and the parts are gathered.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn step(
        &mut self,
        model: Decoder,
        gradients: NamedGradients,
        step: u64,
    ) -> Result<(Decoder, Tensor<1>)> {
        let is_trained = |name: &str| match self.shards() {
            Some(shards) => shards.contains(name),
            None => gradients.contains_key(name),
        };
        let mut take = Take::new(is_trained);
        let model = model.map(&mut take);
        let taken = take.taken;
        let mut shapes: BTreeMap<String, Vec<usize>> =
            taken.iter().map(|(name, taken)| (name.clone(), taken.shape.clone())).collect();
        let max_norm = self.max_norm();
        let norm = match self.squares(&gradients, step)? {
            Some(squares) => self.group(&taken).moments.clip_by(norm_of(squares), max_norm),
            None => {
                let all: Vec<Tensor<1>> = gradients.values().cloned().collect();
                self.group(&taken).moments.clip(&all, max_norm)
            }
        };
        let (taken, gradients) = self.own(taken, gradients);
        let mut done = self.update(taken, gradients, &norm, step);
        if let Some(shards) = self.shards() {
            done = shards.gather(&format!("step {step}: the weights"), done, |_| true)?;
        }
        let done = done.into_iter().map(|(name, value)| {
            let shape = shapes.remove(&name).expect("every parameter has a shape");
            (name, (value, shape))
        });
        Ok((put(model, done.collect()), norm))
    }

    /// Returns the squares of all gradients, in the order of their names; none if this rank has all of them.
    fn squares(&self, gradients: &NamedGradients, step: u64) -> Result<Option<Vec<Tensor<1>>>> {
        let of_stage = match self.shards() {
            Some(shards) if shards.of_gradients() => shards.squares(gradients, step)?,
            _ if self.stages().is_none() && self.slices().is_none() => return Ok(None),
            _ => {
                let squares = |(name, gradient): (&String, &Tensor<1>)| {
                    let block = norm_block(gradient.dims()[0]);
                    (name.clone(), partial_squares(gradient.clone(), block))
                };
                gradients.iter().map(squares).collect()
            }
        };
        let of_layers = match self.stages() {
            Some(stages) => stages.squares(of_stage, step)?,
            None => of_stage,
        };
        Ok(Some(match self.slices() {
            Some(slices) => slices.squares(of_layers, step)?,
            None => of_layers.into_values().collect(),
        }))
    }

    /// Returns the norm `[1]` of all gradients of step `step`, which are not clipped, without making the step.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn gradient_norm(&self, gradients: &NamedGradients, step: u64) -> Result<Tensor<1>> {
        let squares = match self.squares(gradients, step)? {
            Some(squares) => squares,
            None => {
                let squares = |gradient: &Tensor<1>| {
                    partial_squares(gradient.clone(), norm_block(gradient.dims()[0]))
                };
                gradients.values().map(squares).collect()
            }
        };
        Ok(norm_of(squares))
    }

    /// Returns this rank's parts of parameters and gradients.
    fn own(
        &self,
        taken: BTreeMap<String, Taken>,
        gradients: NamedGradients,
    ) -> (BTreeMap<String, Taken>, NamedGradients) {
        match self.shards() {
            None => (taken, gradients),
            Some(shards) if shards.of_gradients() => (shards.own_params(taken), gradients),
            Some(shards) => (shards.own_params(taken), shards.own_gradients(gradients)),
        }
    }

    /// Returns updated values of `taken`.
    fn update(
        &mut self,
        taken: BTreeMap<String, Taken>,
        mut gradients: NamedGradients,
        norm: &Tensor<1>,
        step: u64,
    ) -> BTreeMap<String, Tensor<1>> {
        let c = &self.config;
        let (muon, adamw) =
            taken.into_iter().partition(|(name, taken)| uses_muon(c, name, taken.shape.len()));
        let rule = Rule {
            lr: c.optimizer.muon_lr * schedule_factor(c, step),
            momentum: c.optimizer.muon_momentum,
            weight_decay: c.optimizer.weight_decay,
            max_norm: self.max_norm(),
        };
        let mut done = self.muon.step(muon, &mut gradients, norm, rule);
        done.extend(self.adamw(adamw, gradients, step));
        done
    }

    fn max_norm(&self) -> Option<f32> {
        let grad_clip = self.config.optimizer.grad_clip;
        (grad_clip > 0.0).then_some(grad_clip as f32)
    }

    /// Returns the state of the parameters among `taken` that AdamW updates on this rank: zeros before the first step.
    fn group(&mut self, taken: &BTreeMap<String, Taken>) -> &mut Group {
        let (config, shards) = (&self.config, of_ranks(&self.shards));
        self.adamw.get_or_insert_with(|| {
            let own = |(name, taken): (&String, &Taken)| {
                let size = match shards {
                    Some(shards) => shards.own_len(name),
                    None => taken.value.dims()[0],
                };
                let updated = size > 0 && !uses_muon(config, name, taken.shape.len());
                updated.then(|| (name.clone(), size))
            };
            let (names, sizes): (Vec<String>, Vec<usize>) = taken.iter().filter_map(own).unzip();
            let device = &taken.values().next().expect("something is trained").value.device();
            let mut moments = Moments::zeros(&sizes, device);
            if config.precision == Precision::F16 {
                moments.set_loss_scale(Tensor::from_floats(FIRST_LOSS_SCALE, device));
            }
            Group { names, moments }
        })
    }

    /// Returns the factor `[1]` that the next gradients must be multiplied by; only in f16.
    pub fn loss_scale(&self, device: &Device) -> Option<Tensor<1>> {
        let scaled = self.config.precision == Precision::F16;
        let known = self.adamw.as_ref().and_then(|group| group.moments.loss_scale());
        let first = || Tensor::from_floats(FIRST_LOSS_SCALE, device);
        scaled.then(|| known.unwrap_or_else(first).narrow(0, 0, 1))
    }

    /// Returns this rank's part of the optimizer state as named tensors: `<parameter>.first` and `<parameter>.second` moments,
    /// and in f16 `loss_scale`, followed by the number of steps without overflow.
    pub fn state(&self) -> impl Iterator<Item = (String, Tensor<1>)> + '_ {
        let adamw = self.adamw.iter().flat_map(|group| {
            group.names.iter().enumerate().flat_map(|(i, name)| {
                let [first, second] = group.moments.get(i);
                [(format!("{name}.first"), first), (format!("{name}.second"), second)]
            })
        });
        let muon = self.muon.state().map(|(name, first)| (format!("{name}.first"), first));
        let scale = self.adamw.iter().filter_map(|group| group.moments.loss_scale());
        adamw.chain(muon).chain(scale.map(|scale| (LOSS_SCALE.to_string(), scale)))
    }

    /// Restores the state that [`Self::whole_state`] returned, or this rank's part of it.
    ///
    /// # Errors
    /// Returns an error for an unknown name or for moments that do not match.
    pub fn load_state(
        &mut self,
        state: impl IntoIterator<Item = (String, Vec<f32>)>,
        device: &Device,
    ) -> Result<()> {
        let malformed = |what: String| {
            let remedy = "start a new run, or use an intact checkpoint of blankslate";
            Error::malformed("the optimizer state", what, remedy)
        };
        let mut firsts = BTreeMap::new();
        let mut seconds = BTreeMap::new();
        let mut loss_scale = Tensor::from_floats(FIRST_LOSS_SCALE, device);
        let mut has_moments = false;
        for (name, values) in state {
            let len = values.len();
            let tensor = || Tensor::<1>::from_data(TensorData::new(values, [len]), device);
            if name == LOSS_SCALE && len == FIRST_LOSS_SCALE.len() {
                loss_scale = tensor();
                continue;
            }
            let (param, moments) = match name.rsplit_once('.') {
                Some((param, FIRST)) => (param, &mut firsts),
                Some((param, SECOND)) => (param, &mut seconds),
                _ => return Err(malformed(format!("`{name}` is not part of the state"))),
            };
            has_moments = true;
            if self.stages().is_some_and(|stages| !stages.are_own(param)) {
                continue;
            }
            let of_layers = match self.slices() {
                Some(slices) => slices.own(param, tensor()),
                None => tensor(),
            };
            let own = match self.shards() {
                Some(shards) => shards.own(param, of_layers),
                None => Some(of_layers),
            };
            moments.extend(own.map(|own| (param.to_string(), own)));
        }
        let (names, seconds): (Vec<String>, Vec<Tensor<1>>) = seconds.into_iter().unzip();
        let sizes: Vec<usize> = seconds.iter().map(|second| second.dims()[0]).collect();
        if has_moments {
            let mut moments = Moments::zeros(&sizes, device);
            for (i, (name, second)) in names.iter().zip(seconds).enumerate() {
                let first = firsts.remove(name).filter(|first| first.dims() == second.dims());
                let first = first
                    .ok_or_else(|| malformed(format!("`{name}` has no matching first moment")))?;
                moments.set(i, [first, second]);
            }
            if self.config.precision == Precision::F16 {
                moments.set_loss_scale(loss_scale);
            }
            self.adamw = Some(Group { names, moments });
        }
        self.muon = Muon::restore(firsts);
        Ok(())
    }

    /// Updates all parameters in one call with AdamW, as in PyTorch (`torch.optim.adamw._single_tensor_adamw`).
    fn adamw(
        &mut self,
        taken: BTreeMap<String, Taken>,
        mut gradients: NamedGradients,
        step: u64,
    ) -> BTreeMap<String, Tensor<1>> {
        if taken.is_empty() {
            return BTreeMap::new();
        }
        let c = &self.config;
        let adamw = &c.optimizer;
        let power = step.min(i32::MAX as u64) as i32;
        let scalars = Step {
            lr: learning_rate(c, step) as f32,
            beta1: adamw.beta1 as f32,
            beta2: adamw.beta2 as f32,
            eps: adamw.eps as f32,
            weight_decay: adamw.weight_decay as f32,
            correction1: (1.0 - adamw.beta1.powi(power)) as f32,
            correction2: (1.0 - adamw.beta2.powi(power)) as f32,
        };
        let group = self.adamw.as_mut().expect("created before the first step");
        assert!(taken.keys().eq(&group.names), "every step must update the same parameters");
        let decays: Vec<bool> = taken.values().map(|taken| taken.shape.len() >= 2).collect();
        let (names, params): (Vec<String>, Vec<Tensor<1>>) =
            taken.into_iter().map(|(name, taken)| (name, taken.value)).unzip();
        let of = |name| gradients.remove(name).expect("every parameter taken has a gradient");
        let gradients = names.iter().map(of).collect();
        let params = group.moments.update(params, gradients, &decays, scalars);
        names.into_iter().zip(params).collect()
    }
}
