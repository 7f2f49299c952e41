//! Parameters by pipeline stage: gradient norm, saving, and gathering the whole model.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::params::{Groups, NamedTensors, one_by_one, put};
use crate::error::Result;
use crate::kernels::adamw::norm_block;
use crate::model::{Decoder, NamedGradients, Part, for_each_param, trained_shapes};
use crate::parallel::{Bounds, Collective, Mesh, Pending};

/// Pipeline stage of each trained parameter of a model.
#[derive(Clone, Debug)]
pub struct Stages {
    pipeline: Arc<dyn Collective>,
    /// True in the pipeline of rank 0, which saves and evaluates.
    collects: bool,
    device: Device,
    params: BTreeMap<String, Place>,
}

/// The stage of a parameter, and its shape.
#[derive(Clone, Debug)]
struct Place {
    stage: usize,
    shape: Vec<usize>,
}

impl Place {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Stages {
    /// Assigns the parameters of `model`, the whole model on an autodiff device, to the `parts` that train them.
    pub fn new(model: &Decoder, parts: &[Part], mesh: &Mesh) -> Self {
        let place = |(name, shape): (String, Vec<usize>)| {
            let stage = parts.iter().position(|part| part.trains(&name));
            let stage = stage.expect("every parameter is trained in a part");
            (name, Place { stage, shape })
        };
        Self {
            pipeline: mesh.pipeline.clone(),
            collects: mesh.replicas.rank() == 0,
            device: model.device().inner(),
            params: trained_shapes(model).into_iter().map(place).collect(),
        }
    }

    /// Returns the shapes of the parameters of all stages.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.params.iter().map(|(name, place)| (name.clone(), place.shape.clone())).collect()
    }

    /// Returns true if this stage trains the parameter `name`.
    pub fn are_own(&self, name: &str) -> bool {
        self.params.get(name).is_some_and(|place| place.stage == self.pipeline.rank())
    }

    /// Returns the sums of squares of the gradients of all stages, by name, from those of this stage.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn squares(&self, mut own: NamedGradients, step: u64) -> Result<NamedGradients> {
        let dtype = own.values().next().expect("every stage trains something").dtype();
        let (mut squares, mut bounds) = (Vec::new(), Vec::new());
        for (name, place) in &self.params {
            let nothing = || Tensor::empty([0], (&self.device, dtype));
            squares.push(own.remove(name).unwrap_or_else(nothing));
            let blocks = place.len().div_ceil(norm_block(place.len()));
            bounds.push(Bounds::whole(blocks, place.stage, self.pipeline.size()));
        }
        let label = format!("step {step}: the gradient norm");
        let gathered = self.pipeline.all_gather(&label, squares, bounds).wait()?;
        Ok(self.params.keys().cloned().zip(gathered).collect())
    }

    /// Gathers the tensors of all stages on rank 0; other ranks get empty groups. `has_one` returns true for parameters, by name
    /// and shape, that have a tensor. All ranks must consume all groups.
    pub fn collect<'a>(
        &'a self,
        label: &'a str,
        own: Groups<'a>,
        has_one: impl Fn(&str, &[usize]) -> bool + 'a,
    ) -> Groups<'a> {
        if self.collects && self.pipeline.rank() == 0 {
            return Box::new(own.chain(self.of_others(label, has_one)));
        }
        Box::new(own.map(move |group| {
            let group = group?;
            if self.collects {
                self.send(label, group)?;
            }
            Ok(Vec::new())
        }))
    }

    /// Sends tensors, in the order of their names, to the first stage.
    fn send(&self, label: &str, group: NamedTensors) -> Result<()> {
        let send = |(_, tensor)| self.pipeline.send(label, 0, vec![tensor]);
        let under_way: Vec<Pending> = group.into_iter().map(send).collect();
        under_way.into_iter().try_for_each(|pending| pending.wait().map(drop))
    }

    /// Receives the tensors of the other stages in order.
    fn of_others<'a>(
        &'a self,
        label: &'a str,
        has_one: impl Fn(&str, &[usize]) -> bool + 'a,
    ) -> impl Iterator<Item = Result<NamedTensors>> + 'a {
        let mut others: Vec<_> = self.params.iter().filter(|(_, place)| place.stage > 0).collect();
        others.retain(|(name, place)| has_one(name, &place.shape));
        others.sort_by_key(|(_, place)| place.stage);
        others.into_iter().map(move |(name, place)| {
            let (stage, lens) = (place.stage, vec![place.len()]);
            let found = self.pipeline.receive(label, stage, lens, &self.device).wait()?;
            Ok(found.into_iter().map(|tensor| (name.clone(), tensor)).collect())
        })
    }

    /// Gathers the whole model on rank 0, not on an autodiff device; none on the others.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn whole_model(&self, model: &Decoder) -> Result<Option<Decoder>> {
        let mut own = BTreeMap::new();
        for_each_param(model, &mut |name, _, value| {
            if self.are_own(name) {
                own.insert(name.to_string(), value);
            }
        });
        let mut found = BTreeMap::new();
        for group in self.collect("the weights", one_by_one(own), |_, _| true) {
            for (name, value) in group? {
                let shape = self.params[&name].shape.clone();
                found.insert(name, (value, shape));
            }
        }
        Ok((!found.is_empty()).then(|| put(model.clone(), found).valid()))
    }
}
