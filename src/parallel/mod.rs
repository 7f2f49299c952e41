//! Training on several ranks: communication between them, and the order in which sums are added up.
//!
//! A *rank* is one process. A [`Mesh`] holds its groups: replicas of the model, which train on different micro-batches (data
//! parallelism); stages of a replica, each with some of the layers, run in the order of a [`Schedule`] (pipeline parallelism);
//! and the ranks of a stage, which compute each layer together (tensor parallelism). Transports implement [`Collective`];
//! [`Alone`] is the collective of a single rank, so that there is one training step. MPI and threads are in
//! [`platform`](crate::platform), which this module does not depend on.
//!
//! Sums have the same bits for any power-of-two number of ranks: [`Tree`] adds up the micro-batches of a rank, and the sums of
//! all ranks, in the order of one balanced tree over all micro-batches of a step.
//!
//! ```
//! use blankslate::parallel::{Alone, Bounds, Collective};
//! use burn::tensor::{Device, Tensor};
//!
//! let gradient = Tensor::<1>::from_data([1.0, 2.0, 3.0], &Device::flex());
//! let bounds = vec![Bounds::even(3, Alone.size())];
//! let own = Alone.reduce_scatter("the example", vec![gradient], bounds.clone()).wait()?;
//! let all = Alone.all_gather("the example", own, bounds).wait()?;
//! assert_eq!(all[0].dims(), [3]);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod alone;
mod bounds;
mod collective;
mod gradients;
mod mesh;
mod schedule;
mod sharding;
mod tree;

pub use alone::Alone;
pub use bounds::Bounds;
pub use collective::{Collective, Pending, Traffic, all_reduce, sum_counts};
pub use gradients::{Accumulated, Reduction};
pub use mesh::{Layout, Mesh, Place};
pub use schedule::{Pass, Schedule};
pub use sharding::Sharding;
pub use tree::Tree;

use crate::HAS_RANKS;

/// Returns `value` if runs can have several ranks. In the page they cannot, so the wasm omits the code that uses it.
pub(crate) fn of_ranks<T>(value: &Option<T>) -> Option<&T> {
    value.as_ref().filter(|_| HAS_RANKS)
}
