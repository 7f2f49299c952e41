//! The interface between training and whatever connects the ranks.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Bounds;
use crate::error::Result;

/// A group of ranks that call the same operations in the same order, [`Self::send`] and [`Self::receive`] excepted.
///
/// Operations on tensors start in the background and return a [`Pending`] result, and none of them waits for another. A `label`
/// names the operation in errors.
pub trait Collective: fmt::Debug + Send + Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Adds up tensors `[n]` of f32 over all ranks, and returns this rank's part of each sum. Through the host it is made in the order
    /// of [`Tree`](super::Tree); between GPUs, in one that depends on the number of ranks.
    fn reduce_scatter(&self, label: &str, tensors: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending;

    /// Returns whole tensors `[n]`, of which every rank gives its part.
    fn all_gather(&self, label: &str, parts: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending;

    /// Sends a few bytes to all ranks, waits, and returns the bytes of each rank.
    ///
    /// # Errors
    /// [`Error::Collective`](crate::error::Error::Collective) if a rank does not answer in time.
    fn exchange(&self, label: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Waits for all ranks, of which one may do something that takes long, such as a save: twelve times as long as for other
    /// operations.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn wait_long(&self, label: &str) -> Result<()>;

    /// Sends tensors `[n]` of f32 to another rank. The result, without tensors, is there once they are on their way. What one
    /// rank sends to another arrives in the order in which it was sent. If it fails, so does whatever this rank waits for next,
    /// with an error that names this operation and `to`.
    fn send(&self, label: &str, to: usize, tensors: Vec<Tensor<1>>) -> Pending;

    /// Receives the next tensors that `from` sends to this rank, of `lens` numbers, on `device`. It does not matter which side
    /// starts first, or what it does in between.
    fn receive(&self, label: &str, from: usize, lens: Vec<usize>, device: &Device) -> Pending;

    /// Divides the group: ranks that give the same `color` form a new one, in the same order. Waits for all ranks.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn split(&self, label: &str, color: usize) -> Result<Arc<dyn Collective>>;

    /// Returns what this rank has exchanged so far, in all groups.
    fn traffic(&self) -> Traffic;

    /// Waits for all ranks and leaves the group, after the last operation. A rank that ends without it has failed.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    fn leave(&self) -> Result<()>;
}

/// Operations and bytes of a rank since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Number of operations that have ended.
    pub operations: u64,
    /// Bytes sent to other ranks.
    pub bytes: u64,
    /// Milliseconds in which training waited for results.
    pub waited_ms: f64,
    /// Milliseconds in which something that this rank sent was under way while it did not wait: transfers hidden behind computation.
    pub hidden_ms: f64,
}

/// The result of an operation that may still be under way.
pub struct Pending(Box<dyn FnOnce() -> Result<Vec<Tensor<1>>> + Send>);

impl Pending {
    /// Creates a result that `wait` waits for.
    pub fn new(wait: impl FnOnce() -> Result<Vec<Tensor<1>>> + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// Waits for the operation to end.
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

/// Adds up tensors `[n]` over all ranks and returns the whole sums.
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

/// Adds up each of some counts over all ranks.
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
