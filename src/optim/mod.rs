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
mod state;

pub use schedule::{learning_rate, schedule_factor};
pub use state::check_state;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{Precision, TrainConfig};
use crate::error::{Error, Result};
use crate::kernels::adamw::{Moments, Step};
use crate::model::{Decoder, NamedGradients};
use muon::{Muon, Rule};
use params::{Put, Take, Taken};
use state::{LOSS_SCALE, uses_muon};

/// Initial loss scale of f16 and the number of steps without overflow. PyTorch's `GradScaler` starts at 65536 and skips
/// the first steps, whose gradients are large, until the scale is small enough.
const FIRST_LOSS_SCALE: [f32; 2] = [4096.0, 0.0];

/// An optimizer with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: TrainConfig,
    /// State of the parameters that AdamW updates; none before the first step.
    adamw: Option<Group>,
    /// State of the parameters that Muon updates.
    muon: Muon,
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
        Self { config: config.clone(), adamw: None, muon: Muon::default() }
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
    /// the model's tensors have no other owner.
    pub fn step(
        &mut self,
        model: Decoder,
        gradients: NamedGradients,
        step: u64,
    ) -> (Decoder, Tensor<1>) {
        let mut take = Take::new(&gradients);
        let model = model.map(&mut take);
        let taken = take.taken;
        let mut shapes: BTreeMap<String, Vec<usize>> =
            taken.iter().map(|(name, taken)| (name.clone(), taken.shape.clone())).collect();
        let all: Vec<Tensor<1>> = gradients.values().cloned().collect();
        let (muon, adamw): (BTreeMap<_, _>, BTreeMap<_, _>) = taken
            .into_iter()
            .partition(|(name, taken)| uses_muon(&self.config, name, taken.shape.len()));

        let group = self.adamw.get_or_insert_with(|| {
            let sizes: Vec<usize> = adamw.values().map(|taken| taken.value.dims()[0]).collect();
            let device = all[0].device();
            let mut moments = Moments::zeros(&sizes, &device);
            if self.config.precision == Precision::F16 {
                moments.set_loss_scale(Tensor::from_floats(FIRST_LOSS_SCALE, &device));
            }
            Group { names: adamw.keys().cloned().collect(), moments }
        });
        let grad_clip = self.config.optimizer.grad_clip;
        let max_norm = (grad_clip > 0.0).then_some(grad_clip as f32);
        let norm = group.moments.clip(&all, max_norm);
        drop(all);

        let mut gradients = gradients;
        let c = &self.config;
        let rule = Rule {
            lr: c.optimizer.muon_lr * schedule_factor(c, step),
            momentum: c.optimizer.muon_momentum,
            weight_decay: c.optimizer.weight_decay,
            max_norm,
        };
        let mut done = self.muon.step(muon, &mut gradients, &norm, rule);
        done.extend(self.adamw(adamw, gradients, step));
        let done = done.into_iter().map(|(name, value)| {
            let shape = shapes.remove(&name).expect("every parameter has a shape");
            (name, (value, shape))
        });
        let mut put = Put::new(done.collect());
        (model.map(&mut put), norm)
    }

    /// Returns the factor `[1]` that the next gradients must be multiplied by; only in f16.
    pub fn loss_scale(&self, device: &Device) -> Option<Tensor<1>> {
        let scaled = self.config.precision == Precision::F16;
        let known = self.adamw.as_ref().and_then(|group| group.moments.loss_scale());
        let first = || Tensor::from_floats(FIRST_LOSS_SCALE, device);
        scaled.then(|| known.unwrap_or_else(first).narrow(0, 0, 1))
    }

    /// Returns the optimizer state as named tensors: `<parameter>.first` and `<parameter>.second` moments, and in f16
    /// `loss_scale`, followed by the number of steps without overflow.
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

    /// Restores the state that [`Self::state`] returned.
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
        for (name, values) in state {
            let len = values.len();
            let tensor = Tensor::<1>::from_data(TensorData::new(values, [len]), device);
            if name == LOSS_SCALE && len == FIRST_LOSS_SCALE.len() {
                loss_scale = tensor;
                continue;
            }
            match name.rsplit_once('.') {
                Some((name, "first")) => firsts.insert(name.to_string(), tensor),
                Some((name, "second")) => seconds.insert(name.to_string(), tensor),
                _ => return Err(malformed(format!("`{name}` is not part of the state"))),
            };
        }
        let (names, seconds): (Vec<String>, Vec<Tensor<1>>) = seconds.into_iter().unzip();
        let sizes: Vec<usize> = seconds.iter().map(|second| second.dims()[0]).collect();
        if !names.is_empty() {
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
