//! Moves parameters out of a model for an update and back into it.

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::model::NamedGradients;

/// A parameter outside of its model.
pub(super) struct Taken {
    /// The flattened value.
    pub value: Tensor<1>,
    /// Its shape in the model.
    pub shape: Vec<usize>,
}

/// Takes the parameters that have a gradient out of a model and flattens them.
pub(super) struct Take<'a> {
    wanted: &'a NamedGradients,
    pub taken: BTreeMap<String, Taken>,
    path: Vec<String>,
}

impl<'a> Take<'a> {
    pub fn new(wanted: &'a NamedGradients) -> Self {
        Self { wanted, taken: BTreeMap::new(), path: Vec::new() }
    }
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

/// Puts updated parameters back into a model.
pub(super) struct Put {
    done: BTreeMap<String, (Tensor<1>, Vec<usize>)>,
    path: Vec<String>,
}

impl Put {
    /// Creates the mapper from flattened values and their shapes in the model.
    pub fn new(done: BTreeMap<String, (Tensor<1>, Vec<usize>)>) -> Self {
        Self { done, path: Vec::new() }
    }
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
