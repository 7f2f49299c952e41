//! Communication of tensor-parallel ranks.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::kernels::across::{self, AddUp};
use crate::kernels::attention::HeadDivision;
use crate::parallel::{Bounds, Collective, all_reduce};

/// Tensor-parallel group of a model.
#[derive(Clone, Debug)]
pub struct Division(Arc<Group>);

#[derive(Debug)]
struct Group {
    ranks: Arc<dyn Collective>,
    /// Error of the first failed operation, after which none is started.
    failure: Mutex<Option<Error>>,
}

/// Name of the operations in errors.
const LABEL: &str = "the sums of the ranks that divide a layer";

impl AddUp for Group {
    fn add_up(&self, x: Tensor<1>) -> Tensor<1> {
        self.unless_failed(x, |x| all_reduce(&self.ranks, LABEL, vec![x]), |x| x)
    }
}

impl Group {
    /// Returns the result of an operation on `x`, or `otherwise(x)` if this or an earlier one failed. After a failure, this rank
    /// starts no operation, since other ranks could mistake it for another one.
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
    /// Creates the group.
    pub fn new(ranks: Arc<dyn Collective>) -> Self {
        Self(Arc::new(Group { ranks, failure: Mutex::new(None) }))
    }

    /// Returns `x`; its gradient is the sum over all ranks (Megatron-LM's *f*).
    pub fn enter<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        across::enter(x, self.0.clone())
    }

    /// Returns the sum of `x` over all ranks; its gradient passes through unchanged (Megatron-LM's *g*).
    pub fn leave<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        across::leave(x, self.0.clone())
    }

    /// All-gathers f32 tensors `[n]` of equal length to `[ranks, n]`, without a gradient.
    pub fn gather(&self, x: Tensor<1>) -> Tensor<2> {
        let (ranks, len) = (self.count(), x.dims()[0]);
        let bounds = Bounds::of_lens(vec![len; ranks]);
        let gather = |x| self.0.ranks.all_gather(LABEL, vec![x], vec![bounds]).wait();
        let all = self.0.unless_failed(x.inner(), gather, |x| x.repeat_dim(0, ranks));
        all.reshape([ranks, len])
    }

    /// Returns an error if an operation has failed.
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

    /// Returns this rank's range of a vocabulary of `vocab` tokens.
    pub fn tokens(&self, vocab: usize) -> Range<usize> {
        Bounds::even(vocab, self.count()).of(self.0.ranks.rank())
    }

    /// Returns the position of this rank's `heads` query heads among those of all ranks.
    pub fn heads(&self, heads: usize) -> HeadDivision {
        HeadDivision { before: self.0.ranks.rank() * heads, all: self.count() * heads }
    }
}
