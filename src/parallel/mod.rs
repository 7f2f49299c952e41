//! Training on several ranks at once: what they exchange, and in which order sums are added up.
//!
//! A *rank* is one process. A [`Mesh`] says what it is among the others: it holds a replica of the model, which makes the same
//! step as the others on other micro-batches, or one stage of a replica, some of the layers, through which micro-batches pass
//! in the order of a [`Schedule`], or a part of each of these layers, which the ranks of a stage compute together. Whatever connects
//! ranks implements [`Collective`]; [`Alone`] is the collective of a single rank, so that training has one path. MPI,
//! NCCL and threads are in [`platform`](crate::platform), which this module does not know.
//!
//! Sums are the same bits for any power of two of ranks: [`Tree`] adds up the micro-batches of a rank and the results of all
//! ranks in the order of one balanced tree over all micro-batches of a step.
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

/// Returns what concerns other ranks, if there can be any: the page does not carry the code for them.
pub(crate) fn of_ranks<T>(value: &Option<T>) -> Option<&T> {
    value.as_ref().filter(|_| HAS_RANKS)
}
