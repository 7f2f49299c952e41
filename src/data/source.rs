//! Where a trainer takes its batches from.

use std::fmt::Debug;

use super::{Batch, Corpus};

/// A source of training batches.
///
/// Batch `number` must be the same whenever it is asked for: a resumed run asks for the batches after its checkpoint,
/// and expects those that an uninterrupted run would have had.
pub trait BatchSource: Debug + Send + Sync {
    /// Returns batch `number`, made of `examples` examples: sequences, or what the objective takes for one.
    fn nth_batch(&self, number: u64, examples: usize) -> Batch;

    /// The corpus that batches are cut from, if there is one.
    fn corpus(&self) -> Option<&Corpus> {
        None
    }
}
