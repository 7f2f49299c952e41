//! Gathering of a divided model and its optimizer state on the rank that saves.

use std::collections::BTreeMap;
use std::iter;
use std::sync::OnceLock;

use burn::tensor::Tensor;

use super::params::{Groups, one_by_one};
use super::state::{FIRST, LOSS_SCALE, SECOND, uses_muon};
use super::{Optimizer, Stages};
use crate::error::Result;
use crate::model::Decoder;

impl Optimizer {
    /// Returns the shapes of the undivided parameters of all layers; none if the model is not divided.
    pub fn shapes_of_all(&self) -> Option<BTreeMap<String, Vec<usize>>> {
        match self.slices() {
            Some(slices) => Some(slices.shapes().clone()),
            None => self.stages().map(Stages::shapes),
        }
    }

    /// Gathers the optimizer state, one group of tensors at a time, as [`Self::state`] returns it on a single rank; if the model
    /// is divided, on rank 0 only. All ranks must consume all groups.
    ///
    /// # Errors
    /// A group is an error if a rank does not answer.
    pub fn whole_state(&self) -> Groups<'_> {
        let is_divided =
            self.shards().is_some() || self.stages().is_some() || self.slices().is_some();
        if !is_divided || self.adamw.is_none() {
            return Box::new(iter::once(Ok(self.state().collect())));
        }
        let mut own: BTreeMap<String, Tensor<1>> = self.state().collect();
        let scale = own.remove_entry(LOSS_SCALE).map(|scale| Ok(vec![scale]));
        let moments = [FIRST, SECOND].into_iter().flat_map(move |moment| {
            let part = |(name, value): (&String, &Tensor<1>)| {
                let (param, of) = name.rsplit_once('.')?;
                (of == moment).then(|| (param.to_string(), value.clone()))
            };
            let parts = own.iter().filter_map(part).collect();
            let label = "the optimizer state";
            let has_moment = move |name: &str, shape: &[usize]| {
                moment == FIRST || !uses_muon(&self.config, name, shape.len())
            };
            let of_stage = match self.shards() {
                Some(shards) => {
                    let has_moment = |name: &str| moment == FIRST || !shards.is_matrix(name);
                    shards.gather_in_turn(label, parts, &has_moment)
                }
                None => one_by_one(parts),
            };
            let of_layers = match self.stages() {
                Some(stages) => stages.collect(label, of_stage, has_moment),
                None => of_stage,
            };
            let whole = match self.slices() {
                Some(slices) => slices.collect(label, of_layers),
                None => of_layers,
            };
            let named = move |(name, value)| (format!("{name}.{moment}"), value);
            whole.map(move |group| Ok(group?.into_iter().map(named).collect()))
        });
        Box::new(scale.into_iter().chain(moments))
    }

    /// Gathers the whole model from each rank's `model`, as [`WholeModel::get`] returns it.
    fn gather_model(&self, model: &Decoder) -> Result<Option<Decoder>> {
        let of_layers = match self.stages() {
            Some(stages) => stages.whole_model(model)?,
            None => Some(model.clone()),
        };
        match self.slices() {
            Some(slices) => slices.whole_model(of_layers),
            None => Ok(of_layers),
        }
    }
}

/// Cache of the whole model after a step. A divided model is gathered when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct WholeModel(OnceLock<Option<Decoder>>);

impl WholeModel {
    /// Returns the whole model. If it is divided, it is not on an autodiff device, and on rank 0 only. `model` and `optimizer`
    /// are this rank's, after the same step in every call. All ranks must call it.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn get(&self, model: &Decoder, optimizer: &Optimizer) -> Result<Option<Decoder>> {
        if optimizer.stages().is_none() && optimizer.slices().is_none() {
            return Ok(Some(model.clone()));
        }
        if let Some(whole) = self.0.get() {
            return Ok(whole.clone());
        }
        let whole = optimizer.gather_model(model)?;
        Ok(self.0.get_or_init(|| whole).clone())
    }
}
