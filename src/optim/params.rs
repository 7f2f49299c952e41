//! Moves parameters out of a model for an update and back into it.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::error::Result;
use crate::model::Decoder;

/// Flat tensors with their names.
pub type NamedTensors = Vec<(String, Tensor<1>)>;

/// Tensors that are made or received a group at a time, so that only one of the groups is in memory.
pub type Groups<'a> = Box<dyn Iterator<Item = Result<NamedTensors>> + 'a>;

/// Returns tensors as groups of one.
pub(super) fn one_by_one<'a>(tensors: BTreeMap<String, Tensor<1>>) -> Groups<'a> {
    Box::new(tensors.into_iter().map(|named| Ok(vec![named])))
}

/// A parameter outside of its model.
pub(super) struct Taken {
    /// The flattened value.
    pub value: Tensor<1>,
    /// Its shape in the model.
    pub shape: Vec<usize>,
}

/// Takes the wanted parameters out of a model and flattens them.
pub(super) struct Take<F> {
    is_wanted: F,
    pub taken: BTreeMap<String, Taken>,
    path: Vec<String>,
}

impl<F: Fn(&str) -> bool> Take<F> {
    /// Creates the mapper. `is_wanted` chooses parameters by name.
    pub fn new(is_wanted: F) -> Self {
        Self { is_wanted, taken: BTreeMap::new(), path: Vec::new() }
    }
}

impl<F: Fn(&str) -> bool> ModuleMapper for Take<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        let name = self.path.join(".");
        if !(self.is_wanted)(&name) {
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

/// Returns `model` with other values of some parameters, flattened and with their shapes, by name. They are trained.
pub fn put(model: Decoder, values: BTreeMap<String, (Tensor<1>, Vec<usize>)>) -> Decoder {
    model.map(&mut Put { done: values, path: Vec::new() })
}

/// Puts parameters into a model.
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
