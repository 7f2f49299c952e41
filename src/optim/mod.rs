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

use crate::config::{OptimizerKind, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Decoder, NamedGradients};

/// What the optimizer remembers of one parameter, flattened.
#[derive(Clone, Debug)]
struct Moments {
    /// AdamW's first moment, or Muon's momentum.
    first: Tensor<1>,
    /// AdamW's second moment; Muon has none.
    second: Option<Tensor<1>>,
}

/// The optimizer and its memory.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: TrainConfig,
    moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// An optimizer that has made no step.
    pub fn new(config: &TrainConfig) -> Self {
        Self { config: config.clone(), moments: BTreeMap::new() }
    }

    /// Updates every parameter that has a gradient. `step` counts from 1.
    ///
    /// Returns the model and the global gradient norm before clipping, `[1]`, on the device.
    pub fn step(
        &mut self,
        model: Decoder,
        mut gradients: NamedGradients,
        step: u64,
    ) -> (Decoder, Tensor<1>) {
        let norm = global_norm(&gradients);
        if self.config.grad_clip > 0.0 {
            // torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6), at most 1
            let scale = norm.clone().add_scalar(1e-6).recip().mul_scalar(self.config.grad_clip);
            let scale = scale.clamp_max(1.0);
            for gradient in gradients.values_mut() {
                gradient.inplace(|gradient| gradient * scale.clone());
            }
        }
        let mut update = Update { optimizer: self, gradients, step, path: Vec::new() };
        (model.map(&mut update), norm)
    }

    /// The memory as named tensors for a checkpoint: `<parameter>.first` and `<parameter>.second`.
    pub fn state(&self) -> impl Iterator<Item = (String, Tensor<1>)> + '_ {
        self.moments.iter().flat_map(|(name, moments)| {
            let first = Some((format!("{name}.first"), moments.first.clone()));
            let second = moments.second.clone().map(|second| (format!("{name}.second"), second));
            first.into_iter().chain(second)
        })
    }

    /// Restores what [`Self::state`] gave.
    ///
    /// # Errors
    /// A name that is neither.
    pub fn load_state(
        &mut self,
        state: impl IntoIterator<Item = (String, Vec<f32>)>,
        device: &Device,
    ) -> Result<()> {
        let mut seconds = Vec::new();
        for (name, values) in state {
            let len = values.len();
            let tensor = Tensor::from_data(TensorData::new(values, [len]), device);
            match name.rsplit_once('.') {
                Some((name, "first")) => {
                    self.moments.insert(name.into(), Moments { first: tensor, second: None });
                }
                Some((name, "second")) => seconds.push((name.to_string(), tensor)),
                _ => {
                    return Err(Error::malformed(
                        "the optimizer state",
                        format!("`{name}` is not a moment"),
                        "it was not written by this program: start without --resume",
                    ));
                }
            }
        }
        for (name, tensor) in seconds {
            if let Some(moments) = self.moments.get_mut(&name) {
                moments.second = Some(tensor);
            }
        }
        Ok(())
    }

    /// Muon is meant for the hidden matrices; embeddings, head, norms and biases stay with AdamW.
    fn uses_muon(&self, name: &str, rank: usize) -> bool {
        self.config.optimizer == OptimizerKind::Muon && rank == 2 && name.starts_with("layers.")
    }

    /// AdamW as PyTorch computes it (`torch.optim.adamw._single_tensor_adamw`).
    fn adamw(
        &mut self,
        name: &str,
        rank: usize,
        w: Tensor<1>,
        g: Tensor<1>,
        step: u64,
    ) -> Tensor<1> {
        let c = &self.config;
        let lr = learning_rate(c, step);
        let (m, v) = match self.moments.remove(name) {
            Some(Moments { first, second: Some(second) }) => (
                first.mul_scalar(c.beta1) + g.clone().mul_scalar(1.0 - c.beta1),
                second.mul_scalar(c.beta2) + (g.clone() * g).mul_scalar(1.0 - c.beta2),
            ),
            _ => (g.clone().mul_scalar(1.0 - c.beta1), (g.clone() * g).mul_scalar(1.0 - c.beta2)),
        };
        let power = step.min(i32::MAX as u64) as i32;
        let correction1 = 1.0 - c.beta1.powi(power);
        let correction2 = 1.0 - c.beta2.powi(power);
        let denominator = v.clone().sqrt().div_scalar(correction2.sqrt()).add_scalar(c.eps);
        let direction = m.clone() / denominator;
        self.moments.insert(name.into(), Moments { first: m, second: Some(v) });
        let decay = if rank >= 2 { c.weight_decay } else { 0.0 };
        let w = if decay > 0.0 { w.mul_scalar(1.0 - lr * decay) } else { w };
        w - direction.mul_scalar(lr / correction1)
    }

    /// Muon as in Jordan's reference, with Nesterov momentum and decoupled decay.
    fn muon(&mut self, name: &str, w: Tensor<2>, g: Tensor<1>, step: u64) -> Tensor<2> {
        let c = &self.config;
        let lr = c.muon_lr * schedule_factor(c, step);
        let [rows, columns] = w.dims();
        let momentum = match self.moments.remove(name) {
            Some(Moments { first, .. }) => first.mul_scalar(c.muon_momentum) + g.clone(),
            None => g.clone(),
        };
        let ahead = (g + momentum.clone().mul_scalar(c.muon_momentum)).reshape([rows, columns]);
        self.moments.insert(name.into(), Moments { first: momentum, second: None });
        let direction = muon::orthogonalize(ahead);
        let scale = (rows as f64 / columns as f64).max(1.0).sqrt();
        w.mul_scalar(1.0 - lr * c.weight_decay) - direction.mul_scalar(lr * scale)
    }
}

/// `sqrt` of the sum of all squares, `[1]`.
pub fn global_norm(gradients: &NamedGradients) -> Tensor<1> {
    let squares: Vec<Tensor<1>> =
        gradients.values().map(|g| (g.clone() * g.clone()).sum()).collect();
    Tensor::cat(squares, 0).sum().sqrt()
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: NamedGradients,
    step: u64,
    path: Vec<String>,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        let name = self.path.join(".");
        let Some(gradient) = self.gradients.remove(&name) else {
            return param;
        };
        let (optimizer, step) = (&mut *self.optimizer, self.step);
        param.map(|value| {
            let value = value.without_autodiff();
            let shape = value.dims();
            let updated: Tensor<N> = if optimizer.uses_muon(&name, N) {
                let matrix = value.reshape([shape[0], shape[N - 1]]);
                optimizer.muon(&name, matrix, gradient, step).reshape(shape)
            } else {
                let count = shape.iter().product::<usize>();
                optimizer.adamw(&name, N, value.reshape([count]), gradient, step).reshape(shape)
            };
            Tensor::from_inner(updated).require_grad()
        })
    }
}
