//! Exponential moving average of the weights (Polyak & Juditsky 1992).

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::model::{Decoder, for_each_param};

/// A moving average of all parameters of a model: `a ← d · a + (1 − d) · w` after each step.
#[derive(Clone, Debug)]
pub struct Average {
    decay: f64,
    /// Flattened values by parameter name.
    values: BTreeMap<String, Tensor<1>>,
}

impl Average {
    /// Starts an average at the weights of `model`.
    pub fn new(model: &Decoder, decay: f64) -> Self {
        let mut values = BTreeMap::new();
        for_each_param(model, &mut |name, _, value| {
            values.insert(name.to_string(), value);
        });
        Self { decay, values }
    }

    /// Averages with `decay` from now on.
    pub fn with_decay(self, decay: f64) -> Self {
        Self { decay, ..self }
    }

    /// Returns the decay.
    pub fn decay(&self) -> f64 {
        self.decay
    }

    /// Adds the weights of `model` after a step.
    pub fn add(&mut self, model: &Decoder) {
        let decay = self.decay;
        for_each_param(model, &mut |name, _, value| {
            let average = self.values.remove(name).expect("the parameters of a model stay");
            let average = average.mul_scalar(decay) + value.mul_scalar(1.0 - decay);
            self.values.insert(name.to_string(), average);
        });
    }

    /// Returns `model`, which is not on an autodiff device, with the averaged weights.
    pub fn model(&self, model: Decoder) -> Decoder {
        model.map(&mut Put { values: &self.values, path: Vec::new() })
    }
}

/// Puts values in the place of the parameters of their names.
struct Put<'a> {
    values: &'a BTreeMap<String, Tensor<1>>,
    path: Vec<String>,
}

impl ModuleMapper for Put<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        let average = self.values[&self.path.join(".")].clone();
        param.map(|value| average.reshape(value.dims()))
    }
}
