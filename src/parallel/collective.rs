//! The interface between training and the transport that connects the ranks.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Bounds;
use crate::error::Result;

/// A group of ranks that call the same operations in the same order, [`Self::send`] and [`Self::receive`] excepted.
///
/// Operations on tensors are asynchronous: they start in the background, run concurrently and return a [`Pending`] result. A
/// `label` names the operation in errors.
pub trait Collective: fmt::Debug + Send + Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Reduce-scatter: adds up f32 tensors `[n]` over all ranks, in the order of [`Tree`](super::Tree), and returns this rank's
    /// part of each sum. Between GPUs (NCCL), the order depends on the number of ranks.
    fn reduce_scatter(&self, label: &str, tensors: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending;

    /// All-gather: returns whole tensors `[n]` from the parts of all ranks.
    fn all_gather(&self, label: &str, parts: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending;

    /// Sends a few bytes to all ranks, waits, and returns the bytes of each rank.
    ///
    /// # Errors
    /// [`Error::Collective`](crate::error::Error::Collective) if a rank does not answer in time.
    fn exchange(&self, label: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Barrier for long work of one rank, such as a save: the timeout is twelve times that of other operations.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn wait_long(&self, label: &str) -> Result<()>;

    /// Sends f32 tensors `[n]` to another rank. The result has no tensors and is ready once they have been sent. Messages between
    /// two ranks arrive in order. If sending fails, so does the next operation that this rank waits for, with an error that names
    /// this operation and `to`.
    fn send(&self, label: &str, to: usize, tensors: Vec<Tensor<1>>) -> Pending;

    /// Receives the next tensors that `from` sends to this rank, of `lens` numbers, on `device`. Either side may start first.
    fn receive(&self, label: &str, from: usize, lens: Vec<usize>, device: &Device) -> Pending;

    /// Splits the group: ranks with the same `color` form a new one, in the same order. Waits for all ranks.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn split(&self, label: &str, color: usize) -> Result<Arc<dyn Collective>>;

    /// Returns this rank's communication statistics so far, over all groups.
    fn traffic(&self) -> Traffic;

    /// Waits for all ranks and leaves the group, after the last operation. A rank that ends without this call has failed.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn leave(&self) -> Result<()>;
}

/// Communication statistics of a rank since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Number of completed operations.
    pub operations: u64,
    /// Bytes sent to other ranks.
    pub bytes: u64,
    /// Milliseconds that training waited for results (exposed communication).
    pub waited_ms: f64,
    /// Milliseconds in which a message of this rank was in flight while it did not wait: transfers overlapped with computation.
    pub hidden_ms: f64,
}

/// The result of an operation that may still be running.
pub struct Pending(Box<dyn FnOnce() -> Result<Vec<Tensor<1>>> + Send>);

impl Pending {
    /// Creates a result that `wait` blocks for and returns.
    pub fn new(wait: impl FnOnce() -> Result<Vec<Tensor<1>>> + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// Waits for the operation to complete.
    ///
    /// # Errors
    /// [`Error::Collective`](crate::error::Error::Collective) if a rank does not answer in time.
    pub fn wait(self) -> Result<Vec<Tensor<1>>> {
        (self.0)()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

/// All-reduce: adds up tensors `[n]` over all ranks and returns the whole sums.
///
/// # Errors
/// As [`Pending::wait`].
pub fn all_reduce(
    ranks: &Arc<dyn Collective>,
    label: &str,
    tensors: Vec<Tensor<1>>,
) -> Result<Vec<Tensor<1>>> {
    let bounds: Vec<Bounds> =
        tensors.iter().map(|tensor| Bounds::even(tensor.dims()[0], ranks.size())).collect();
    let parts = ranks.reduce_scatter(label, tensors, bounds.clone()).wait()?;
    ranks.all_gather(label, parts, bounds).wait()
}

/// Adds up counts over all ranks, element by element.
///
/// # Errors
/// As [`Collective::exchange`].
pub fn sum_counts<const N: usize>(
    ranks: &dyn Collective,
    label: &str,
    counts: [u64; N],
) -> Result<[u64; N]> {
    let bytes = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    let mut sums = [0; N];
    for bytes in ranks.exchange(label, bytes)? {
        for (sum, count) in sums.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *sum += u64::from_le_bytes(*count);
        }
    }
    Ok(sums)
}
