//! Sums of named gradients: over the micro-batches of a rank, and over ranks while the backward pass still runs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::{Bounds, Collective, Pending, Tree};
use crate::config::Accumulation;
use crate::error::Result;

/// Flattened gradients by parameter name.
type Named = BTreeMap<String, Tensor<1>>;

/// Sum of the gradients of a rank's micro-batches, parameter by parameter.
#[derive(Debug)]
pub struct Accumulated {
    order: Accumulation,
    sums: BTreeMap<String, Tree<Tensor<1>>>,
}

impl Accumulated {
    /// Creates an empty sum.
    pub fn new(order: Accumulation) -> Self {
        Self { order, sums: BTreeMap::new() }
    }

    /// Adds gradients of a micro-batch.
    pub fn add(&mut self, gradients: Named) {
        for (name, gradient) in gradients {
            let sum = self.sums.entry(name).or_insert_with(|| Tree::new(self.order));
            let Ok(()) = sum.push(gradient, plus);
        }
    }

    /// Adds gradients of the last micro-batch, and returns the sums of these parameters.
    pub fn finish(&mut self, gradients: Named) -> Named {
        let names: Vec<String> = gradients.keys().cloned().collect();
        self.add(gradients);
        let sum = |name: String| {
            let Ok(total) = self.sums.remove(&name)?.total(plus);
            Some((name, total?))
        };
        names.into_iter().filter_map(sum).collect()
    }
}

fn plus(earlier: Tensor<1>, later: Tensor<1>) -> std::result::Result<Tensor<1>, Infallible> {
    let mut sum = later;
    sum.inplace(|later| later + earlier);
    Ok(sum)
}

/// Reduction of gradients over all ranks. Each call of [`Self::start`] sends gradients while the backward pass computes others.
#[derive(Debug)]
pub struct Reduction {
    ranks: Arc<dyn Collective>,
    label: String,
    pending: Vec<(Vec<String>, Vec<Bounds>, Pending)>,
}

impl Reduction {
    /// Creates a reduction without gradients. `label` names it in errors.
    pub fn new(ranks: Arc<dyn Collective>, label: String) -> Self {
        Self { ranks, label, pending: Vec::new() }
    }

    /// Starts a reduce-scatter of `gradients`. `bounds` returns the parts of a parameter, given its name and size.
    pub fn start(&mut self, gradients: Named, bounds: impl Fn(&str, usize) -> Bounds) {
        let (names, tensors): (Vec<String>, Vec<Tensor<1>>) = gradients.into_iter().unzip();
        let bounds: Vec<Bounds> = names
            .iter()
            .zip(&tensors)
            .map(|(name, tensor)| bounds(name, tensor.dims()[0]))
            .collect();
        let label = match names.first() {
            Some(first) => format!("{} of {first} and {} more", self.label, names.len() - 1),
            None => self.label.clone(),
        };
        let pending = self.ranks.reduce_scatter(&label, tensors, bounds.clone());
        self.pending.push((names, bounds, pending));
    }

    /// Waits for this rank's parts of all sums. Empty parts are left out.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn parts(self) -> Result<Named> {
        let mut parts = Named::new();
        for (names, _, pending) in self.pending {
            let own = names.into_iter().zip(pending.wait()?);
            parts.extend(own.filter(|(_, part)| part.dims()[0] > 0));
        }
        Ok(parts)
    }

    /// Waits for the whole sums.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn whole(self) -> Result<Named> {
        let Self { ranks, label, pending } = self;
        let mut gathers = Vec::new();
        for (names, bounds, pending) in pending {
            gathers.push((names, ranks.all_gather(&label, pending.wait()?, bounds)));
        }
        let mut whole = Named::new();
        for (names, pending) in gathers {
            whole.extend(names.into_iter().zip(pending.wait()?));
        }
        Ok(whole)
    }
}
