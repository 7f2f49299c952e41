//! Shards of the parameters: each rank updates its shard and holds the optimizer state for it (ZeRO, Rajbhandari et al. 2020).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};

use super::params::{Groups, Taken};
use super::state::uses_muon;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::kernels::adamw::{norm_block, partial_squares};
use crate::model::NamedGradients;
use crate::parallel::{Bounds, Collective, Pending, Sharding};

/// Numbers per all-gather, which limits the temporary copies of a step.
const GATHERED: usize = 1 << 24;

/// Shards of all trained parameters.
#[derive(Clone, Debug)]
pub struct Shards {
    ranks: Arc<dyn Collective>,
    sharding: Sharding,
    device: Device,
    bounds: BTreeMap<String, Bounds>,
    /// The parameters that Muon updates.
    matrices: BTreeSet<String>,
}

impl Shards {
    /// Shards the trained parameters of a model, with `shapes` by name, among `ranks`, each of which has all of them on `device`.
    /// Matrices that Muon updates are not cut: from the largest to the smallest, each goes to the rank with the fewest numbers so
    /// far. Other parameters are cut between the blocks over which the gradient norm sums squares.
    pub fn new(
        shapes: BTreeMap<String, Vec<usize>>,
        device: Device,
        config: &TrainConfig,
        ranks: Arc<dyn Collective>,
        sharding: Sharding,
    ) -> Self {
        let (mut matrices, others): (Vec<_>, Vec<_>) = shapes
            .into_iter()
            .map(|(name, shape)| (name, shape.iter().product(), shape.len()))
            .partition(|(name, _, rank)| uses_muon(config, name, *rank));
        matrices.sort_by_key(|(_, len, _): &(String, usize, usize)| Reverse(*len));
        let mut bounds = BTreeMap::new();
        for (i, (name, len, _)) in others.into_iter().enumerate() {
            bounds.insert(name, Bounds::blocks(len, norm_block(len), i, ranks.size()));
        }
        let mut held = vec![0; ranks.size()];
        for (name, len, _) in &matrices {
            let owner = (0..held.len()).min_by_key(|rank| held[*rank]).expect("there is a rank");
            held[owner] += len;
            bounds.insert(name.clone(), Bounds::whole(*len, owner, ranks.size()));
        }
        let matrices = matrices.into_iter().map(|(name, ..)| name).collect();
        Self { ranks, sharding, device, bounds, matrices }
    }

    /// Returns the shards of the parameter `name`.
    pub fn bounds(&self, name: &str) -> &Bounds {
        &self.bounds[name]
    }

    /// Returns true if the parameter `name` is trained.
    pub fn contains(&self, name: &str) -> bool {
        self.bounds.contains_key(name)
    }

    /// Returns true if Muon updates the parameter `name`.
    pub fn is_matrix(&self, name: &str) -> bool {
        self.matrices.contains(name)
    }

    /// Returns true if gradients are sharded, too.
    pub fn of_gradients(&self) -> bool {
        self.sharding == Sharding::Gradients
    }

    /// Returns the length of this rank's shard of the parameter `name`.
    pub fn own_len(&self, name: &str) -> usize {
        self.bounds(name).of(self.ranks.rank()).len()
    }

    /// Returns this rank's shard of a flat tensor that belongs to the parameter `name`; none if it is empty.
    pub fn own(&self, name: &str, whole: Tensor<1>) -> Option<Tensor<1>> {
        let part = self.bounds(name).of(self.ranks.rank());
        (!part.is_empty()).then(|| whole.narrow(0, part.start, part.len()))
    }

    /// Returns this rank's shards of parameters.
    pub(super) fn own_params(&self, taken: BTreeMap<String, Taken>) -> BTreeMap<String, Taken> {
        let own = |(name, Taken { value, shape }): (String, Taken)| {
            let value = self.own(&name, value)?;
            Some((name, Taken { value, shape }))
        };
        taken.into_iter().filter_map(own).collect()
    }

    /// Returns this rank's shards of gradients.
    pub fn own_gradients(&self, gradients: NamedGradients) -> NamedGradients {
        let own = |(name, gradient): (String, Tensor<1>)| {
            let part = self.own(&name, gradient)?;
            Some((name, part))
        };
        gradients.into_iter().filter_map(own).collect()
    }

    /// Returns the sums of squares of all gradients, by name, from every rank's shards.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn squares(&self, parts: &NamedGradients, step: u64) -> Result<NamedGradients> {
        let mut squares = Vec::new();
        let mut bounds = Vec::new();
        for (name, whole) in &self.bounds {
            let block = norm_block(whole.len());
            let part = parts.get(name).cloned().unwrap_or_else(|| self.empty());
            squares.push(partial_squares(part, block));
            bounds.push(whole.in_blocks(block));
        }
        let label = format!("step {step}: the gradient norm");
        let gathered = self.ranks.all_gather(&label, squares, bounds).wait()?;
        Ok(self.bounds.keys().cloned().zip(gathered).collect())
    }

    /// All-gathers tensors from every rank's shards, for the parameters that have one.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn gather(
        &self,
        label: &str,
        mut parts: BTreeMap<String, Tensor<1>>,
        has_one: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Tensor<1>>> {
        let groups = self.groups(has_one).into_iter();
        let under_way: Vec<_> =
            groups.map(|group| self.begin_gather(label, group, &mut parts)).collect();
        let mut whole = BTreeMap::new();
        for (names, pending) in under_way {
            whole.extend(names.into_iter().zip(pending.wait()?));
        }
        Ok(whole)
    }

    /// As [`Self::gather`], but one group of tensors at a time, which limits memory.
    pub fn gather_in_turn<'a>(
        &'a self,
        label: &'a str,
        mut parts: BTreeMap<String, Tensor<1>>,
        has_one: &dyn Fn(&str) -> bool,
    ) -> Groups<'a> {
        Box::new(self.groups(has_one).into_iter().map(move |group| {
            let (names, pending) = self.begin_gather(label, group, &mut parts);
            Ok(names.into_iter().zip(pending.wait()?).collect())
        }))
    }

    fn begin_gather(
        &self,
        label: &str,
        group: Vec<(&String, &Bounds)>,
        parts: &mut BTreeMap<String, Tensor<1>>,
    ) -> (Vec<String>, Pending) {
        let part =
            |(name, _): &(&String, &Bounds)| parts.remove(*name).unwrap_or_else(|| self.empty());
        let tensors = group.iter().map(part).collect();
        let (names, bounds) =
            group.into_iter().map(|(name, bounds)| (name.clone(), bounds.clone())).unzip();
        (names, self.ranks.all_gather(label, tensors, bounds))
    }

    /// Groups the parameters that have a tensor, in order, into groups of at least [`GATHERED`] numbers.
    fn groups(&self, has_one: impl Fn(&str) -> bool) -> Vec<Vec<(&String, &Bounds)>> {
        let mut groups = Vec::new();
        let (mut group, mut len) = (Vec::new(), 0);
        for (name, bounds) in self.bounds.iter().filter(|(name, _)| has_one(name)) {
            group.push((name, bounds));
            len += bounds.len();
            if len >= GATHERED {
                groups.push(std::mem::take(&mut group));
                len = 0;
            }
        }
        groups.extend((!group.is_empty()).then_some(group));
        groups
    }

    /// Returns the shard of a rank that owns no part of a parameter.
    fn empty(&self) -> Tensor<1> {
        Tensor::empty([0], (&self.device, DType::F32))
    }
}
