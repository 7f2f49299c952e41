//! Gradients to updates: AdamW for everything, or Muon for the blocks' matrices.
//!
//! All scalars are pure functions of the step, computed on the host; norm and clipping stay on the
//! device, so a step needs no round trip.

mod muon;
mod schedule;

pub use schedule::{learning_rate, schedule_factor};

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{OptimizerKind, Precision, TrainConfig};
use crate::error::{Error, Result};
use crate::kernels::adamw::{Moments, Step};
use crate::model::{Decoder, NamedGradients};
use muon::{Muon, Rule};

/// The loss scale that f16 begins with, and the steps it has fitted. PyTorch's `GradScaler` begins with 65536, and
/// skips the first steps, whose gradients are large, until it is down to what fits.
const FIRST_LOSS_SCALE: [f32; 2] = [4096.0, 0.0];

/// What the loss scale is called in a checkpoint.
const LOSS_SCALE: &str = "loss_scale";

/// The optimizer and its memory.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: TrainConfig,
    /// Of the parameters that AdamW updates; none before the first step.
    adamw: Option<Group>,
    /// Of the parameters that Muon updates.
    muon: Muon,
}

/// Parameters that are updated together, in the order of their names.
#[derive(Clone, Debug)]
struct Group {
    names: Vec<String>,
    moments: Moments,
}

/// A parameter on its way through the optimizer.
struct Taken {
    value: Tensor<1>,
    shape: Vec<usize>,
}

impl Optimizer {
    /// An optimizer that has made no step.
    pub fn new(config: &TrainConfig) -> Self {
        Self { config: config.clone(), adamw: None, muon: Muon::default() }
    }

    /// Goes on with other settings of the same rule.
    pub fn adjust(&mut self, config: &TrainConfig) {
        let kind = self.config.optimizer.kind;
        self.config = config.clone();
        self.config.optimizer.kind = kind;
    }

    /// Updates every parameter that has a gradient. `step` counts from 1.
    ///
    /// Returns the model and the global gradient norm before clipping, `[1]`, on the device. A model that
    /// nobody else holds is updated in place.
    pub fn step(
        &mut self,
        model: Decoder,
        gradients: NamedGradients,
        step: u64,
    ) -> (Decoder, Tensor<1>) {
        let mut take = Take { wanted: &gradients, taken: BTreeMap::new(), path: Vec::new() };
        let model = model.map(&mut take);
        let taken = take.taken;
        let mut shapes: BTreeMap<String, Vec<usize>> =
            taken.iter().map(|(name, taken)| (name.clone(), taken.shape.clone())).collect();
        let all: Vec<Tensor<1>> = gradients.values().cloned().collect();
        let (muon, adamw): (BTreeMap<_, _>, BTreeMap<_, _>) =
            taken.into_iter().partition(|(name, taken)| self.uses_muon(name, taken.shape.len()));

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
            let shape = shapes.remove(&name).expect("every parameter has one");
            (name, (value, shape))
        });
        let mut put = Put { done: done.collect(), path: Vec::new() };
        (model.map(&mut put), norm)
    }

    /// What the next gradients must be multiplied by, `[1]`: in f16 only.
    pub fn loss_scale(&self, device: &Device) -> Option<Tensor<1>> {
        let scaled = self.config.precision == Precision::F16;
        let known = self.adamw.as_ref().and_then(|group| group.moments.loss_scale());
        let first = || Tensor::from_floats(FIRST_LOSS_SCALE, device);
        scaled.then(|| known.unwrap_or_else(first).narrow(0, 0, 1))
    }

    /// The memory as named tensors for a checkpoint: `<parameter>.first` and `<parameter>.second`, and in f16
    /// `loss_scale`, with the steps it has fitted.
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

    /// Restores what [`Self::state`] gave.
    ///
    /// # Errors
    /// A name that is neither, or moments that do not belong together.
    pub fn load_state(
        &mut self,
        state: impl IntoIterator<Item = (String, Vec<f32>)>,
        device: &Device,
    ) -> Result<()> {
        let malformed = |what: String| {
            let remedy = "it was not written by this program: start without --resume";
            Error::malformed("the optimizer state", what, remedy)
        };
        let (mut firsts, mut seconds) = (BTreeMap::new(), BTreeMap::new());
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
                _ => return Err(malformed(format!("`{name}` is not a moment"))),
            };
        }
        let (names, seconds): (Vec<String>, Vec<Tensor<1>>) = seconds.into_iter().unzip();
        let sizes: Vec<usize> = seconds.iter().map(|second| second.dims()[0]).collect();
        if !names.is_empty() {
            let mut moments = Moments::zeros(&sizes, device);
            for (i, (name, second)) in names.iter().zip(seconds).enumerate() {
                let first = firsts.remove(name).filter(|first| first.dims() == second.dims());
                let first = first.ok_or_else(|| malformed(format!("`{name}` lacks a moment")))?;
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

    /// Muon is meant for the hidden matrices; embeddings, head, norms and biases stay with AdamW.
    fn uses_muon(&self, name: &str, rank: usize) -> bool {
        self.config.optimizer.kind == OptimizerKind::Muon
            && rank == 2
            && name.starts_with("layers.")
    }

    /// AdamW as PyTorch computes it (`torch.optim.adamw._single_tensor_adamw`), for all at once.
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
        let group = self.adamw.as_mut().expect("made before the first step");
        assert!(taken.keys().eq(&group.names), "the same parameters have gradients at every step");
        let decays: Vec<bool> = taken.values().map(|taken| taken.shape.len() >= 2).collect();
        let (names, params): (Vec<String>, Vec<Tensor<1>>) =
            taken.into_iter().map(|(name, taken)| (name, taken.value)).unzip();
        let of = |name| gradients.remove(name).expect("only these are taken");
        let gradients = names.iter().map(of).collect();
        let params = group.moments.update(params, gradients, &decays, scalars);
        names.into_iter().zip(params).collect()
    }
}

/// Takes the parameters that have a gradient out of a model, flattened.
struct Take<'a> {
    wanted: &'a NamedGradients,
    taken: BTreeMap<String, Taken>,
    path: Vec<String>,
}

impl ModuleMapper for Take<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        let name = self.path.join(".");
        if !self.wanted.contains_key(&name) {
            return param;
        }
        param.map(|value| {
            let value = value.without_autodiff();
            let shape = value.dims();
            let nothing = Tensor::empty([1; N], &value.device());
            let value = value.reshape([shape.iter().product::<usize>()]);
            self.taken.insert(name, Taken { value, shape: shape.to_vec() });
            nothing
        })
    }
}

/// Puts updated parameters back.
struct Put {
    done: BTreeMap<String, (Tensor<1>, Vec<usize>)>,
    path: Vec<String>,
}

impl ModuleMapper for Put {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        match self.done.remove(&self.path.join(".")) {
            Some((value, shape)) => {
                let shape: [usize; N] = shape.try_into().expect("the rank it was taken with");
                param.map(|_| Tensor::from_inner(value.reshape(shape)).require_grad())
            }
            None => param,
        }
    }
}
