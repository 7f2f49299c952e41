//! Tensor-parallel slices of parameters: gradient norm, saving, and gathering the whole model.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::params::{Groups, NamedTensors, one_by_one, put};
use crate::error::Result;
use crate::kernels::adamw::norm_block;
use crate::model::{Cut, Decoder, NamedGradients, for_each_param, trained_shapes};
use crate::parallel::{Bounds, Collective, Mesh, Pending};

/// Tensor-parallel division of the parameters of a model.
#[derive(Clone, Debug)]
pub struct Slices {
    ranks: Arc<dyn Collective>,
    /// True in the tensor-parallel group of rank 0, which saves and evaluates.
    collects: bool,
    device: Device,
    /// Shapes of the trained parameters before division.
    shapes: BTreeMap<String, Vec<usize>>,
    /// Parameters that are divided; the others are replicated.
    cuts: BTreeMap<String, Cut>,
}

impl Slices {
    /// Lists the parameters of `model`, the whole model on an autodiff device.
    pub fn new(model: &Decoder, mesh: &Mesh) -> Self {
        let mut cuts = BTreeMap::new();
        for_each_param(model, &mut |name, shape, _| {
            let cut = Cut::of(model.config(), name, shape, mesh.tensor.size());
            cuts.extend(cut.map(|cut| (name.to_string(), cut)));
        });
        Self {
            ranks: mesh.tensor.clone(),
            collects: mesh.replicas.rank() == 0 && mesh.pipeline.rank() == 0,
            device: model.device().inner(),
            shapes: trained_shapes(model),
            cuts,
        }
    }

    /// Returns the shapes of the trained parameters before division.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.shapes
    }

    /// Returns this rank's slice of a flat tensor that belongs to the parameter `name`.
    pub fn own(&self, name: &str, whole: Tensor<1>) -> Tensor<1> {
        match self.cuts.get(name) {
            Some(cut) => cut.take(whole, self.ranks.rank()),
            None => whole,
        }
    }

    /// Returns the sums of squares of whole gradients, in the order of their names. Divided parameters count all ranks' slices,
    /// replicated ones count once.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn squares(&self, own: NamedGradients, step: u64) -> Result<Vec<Tensor<1>>> {
        let blocks = |cut: &Cut, rank: usize| {
            let len: usize = cut.shape_of(rank).iter().product();
            len.div_ceil(norm_block(len))
        };
        let (mut parts, mut bounds) = (Vec::new(), Vec::new());
        for (name, squares) in &own {
            if let Some(cut) = self.cuts.get(name) {
                parts.push(squares.clone());
                bounds.push(Bounds::of_lens((0..self.ranks.size()).map(|rank| blocks(cut, rank))));
            }
        }
        let label = format!("step {step}: the gradient norm of divided layers");
        let mut gathered = self.ranks.all_gather(&label, parts, bounds).wait()?.into_iter();
        let whole = |(name, squares)| match self.cuts.contains_key(&name) {
            true => gathered.next().expect("one for each part"),
            false => squares,
        };
        Ok(own.into_iter().map(whole).collect())
    }

    /// Gathers whole tensors on rank 0 from all slices; other ranks get empty groups. `own` are this rank's slices, of its stage
    /// or, on rank 0, of all stages. All ranks must consume all groups.
    pub fn collect<'a>(&'a self, label: &'a str, own: Groups<'a>) -> Groups<'a> {
        Box::new(own.map(move |group| {
            let group = group?;
            match self.ranks.rank() {
                _ if !self.collects => Ok(Vec::new()),
                0 => group.into_iter().map(|(name, own)| self.join(label, name, own)).collect(),
                _ => self.send(label, group),
            }
        }))
    }

    /// Sends this rank's slices to the first rank.
    fn send(&self, label: &str, group: NamedTensors) -> Result<NamedTensors> {
        let parts = group.into_iter().filter(|(name, _)| self.cuts.contains_key(name));
        let under_way: Vec<Pending> =
            parts.map(|(_, part)| self.ranks.send(label, 0, vec![part])).collect();
        under_way.into_iter().try_for_each(|pending| pending.wait().map(drop))?;
        Ok(Vec::new())
    }

    /// Receives the slices of a parameter from the other ranks, and joins them.
    fn join(&self, label: &str, name: String, own: Tensor<1>) -> Result<(String, Tensor<1>)> {
        let Some(cut) = self.cuts.get(&name) else { return Ok((name, own)) };
        let receive = |rank: usize| {
            let len = cut.shape_of(rank).iter().product();
            self.ranks.receive(label, rank, vec![len], &self.device)
        };
        let under_way: Vec<Pending> = (1..self.ranks.size()).map(receive).collect();
        let mut parts = vec![own];
        for pending in under_way {
            parts.extend(pending.wait()?);
        }
        Ok((name, cut.join(parts)))
    }

    /// Gathers the whole model on rank 0, not on an autodiff device; none on the others. `model` has this rank's slices, of its
    /// stage or, on rank 0, of all stages.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn whole_model(&self, model: Option<Decoder>) -> Result<Option<Decoder>> {
        let Some(model) = model.filter(|_| self.collects) else { return Ok(None) };
        let mut own = BTreeMap::new();
        for_each_param(&model, &mut |name, _, value| {
            if self.cuts.contains_key(name) {
                own.insert(name.to_string(), value);
            }
        });
        let mut found = BTreeMap::new();
        for group in self.collect("the weights", one_by_one(own)) {
            for (name, value) in group? {
                let shape = self.cuts[&name].shape().to_vec();
                found.insert(name, (value, shape));
            }
        }
        let is_first = self.ranks.rank() == 0;
        Ok(is_first.then(|| put(model, found).undivided().valid()))
    }
}
