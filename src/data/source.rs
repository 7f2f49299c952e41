//! Sources of training batches.

use std::fmt::Debug;

use super::{Batch, Corpus};

/// A source of training batches.
///
/// Batch `number` must always be the same: a resumed run requests the batches after its checkpoint and expects those that an
/// uninterrupted run would have had.
pub trait BatchSource: Debug + Send + Sync {
    /// Returns batch `number` of `examples` examples: sequences, or whatever the objective counts as one.
    fn nth_batch(&self, number: u64, examples: usize) -> Batch;

    /// Returns the corpus that the batches come from, if there is one.
    fn corpus(&self) -> Option<&Corpus> {
        None
    }
}
