//! Sums over the ranks that divide the layers of a model.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::kernels::across::{self, AddUp};
use crate::kernels::attention::HeadDivision;
use crate::parallel::{Bounds, Collective, all_reduce};

/// The ranks that divide the layers of a model.
#[derive(Clone, Debug)]
pub struct Division(Arc<Group>);

#[derive(Debug)]
struct Group {
    ranks: Arc<dyn Collective>,
    /// The first error of an operation. No other is started after it.
    failure: Mutex<Option<Error>>,
}

/// Names the sums in errors.
const LABEL: &str = "the sums of the ranks that divide a layer";

impl AddUp for Group {
    fn add_up(&self, x: Tensor<1>) -> Tensor<1> {
        self.unless_failed(x, |x| all_reduce(&self.ranks, LABEL, vec![x]), |x| x)
    }
}

impl Group {
    /// Returns the result of an operation of the ranks on `x`, or what stands in for it once one has failed: after that, this rank
    /// starts none, which could be taken for another one by the other ranks.
    fn unless_failed(
        &self,
        x: Tensor<1>,
        operation: impl FnOnce(Tensor<1>) -> Result<Vec<Tensor<1>>>,
        otherwise: impl FnOnce(Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        let failure = &mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_some() {
            return otherwise(x);
        }
        match operation(x.clone()) {
            Ok(mut found) => found.remove(0),
            Err(error) => {
                *failure = Some(error);
                otherwise(x)
            }
        }
    }
}

impl Division {
    /// Creates the division of layers among `ranks`.
    pub fn new(ranks: Arc<dyn Collective>) -> Self {
        Self(Arc::new(Group { ranks, failure: Mutex::new(None) }))
    }

    /// Returns `x`, of whose gradient each rank computes a part from here on.
    pub fn enter<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        across::enter(x, self.0.clone())
    }

    /// Returns the sum of what the ranks have computed.
    pub fn leave<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        across::leave(x, self.0.clone())
    }

    /// Returns the `x [n]` of f32 of all ranks, `[ranks, n]`. It has no gradient.
    pub fn gather(&self, x: Tensor<1>) -> Tensor<2> {
        let (ranks, len) = (self.count(), x.dims()[0]);
        let bounds = Bounds::of_lens(vec![len; ranks]);
        let gather = |x| self.0.ranks.all_gather(LABEL, vec![x], vec![bounds]).wait();
        let all = self.0.unless_failed(x.inner(), gather, |x| x.repeat_dim(0, ranks));
        all.reshape([ranks, len])
    }

    /// Returns an error if an operation of the ranks has failed.
    pub fn check(&self) -> Result<()> {
        let failure = &mut *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let again = || Error::Collective {
            operation: LABEL.into(),
            problem: "an earlier one failed".into(),
            remedy: "resume from the last checkpoint".into(),
        };
        failure.as_mut().map_or(Ok(()), |error| Err(mem::replace(error, again())))
    }

    /// Returns the number of ranks.
    pub fn count(&self) -> usize {
        self.0.ranks.size()
    }

    /// Returns the tokens of this rank, of `vocab`.
    pub fn tokens(&self, vocab: usize) -> Range<usize> {
        Bounds::even(vocab, self.count()).of(self.0.ranks.rank())
    }

    /// Returns the place of this rank's `heads` query heads.
    pub fn heads(&self, heads: usize) -> HeadDivision {
        HeadDivision { before: self.0.ranks.rank() * heads, all: self.count() * heads }
    }
}
