//! Words about tensors that travel otherwise: who has begun, so that a rank which has not is named.

use std::sync::Arc;

use super::{LANES, Messages, Reply, Shared, Staged};

/// What ranks [`talk`](Staged::talk) about.
#[derive(Clone, Copy)]
pub enum About {
    /// An operation of the whole group, which all ranks start in the same order.
    Group,
    /// Tensors from one rank to another.
    Pair {
        /// Whether the receiver has the larger number.
        is_upward: bool,
    },
}

impl Staged {
    /// Sends and receives words: `sends` to other ranks of the group, and for each of `receives` one of that length. A rank from
    /// which one is missing is named as in any other operation.
    pub fn talk(
        &self,
        label: &str,
        about: About,
        sends: Vec<(usize, Vec<u8>)>,
        receives: Vec<(usize, usize)>,
    ) -> Reply<Vec<Vec<u8>>> {
        let lane = match about {
            About::Group => self.lane_of_group(),
            About::Pair { is_upward } => self.group * LANES + if is_upward { 2 } else { 3 },
        };
        let messages = move || Messages { sends, receives };
        self.begin_within(label, self.shared.timeout, lane, false, messages, |found| found)
    }

    /// Returns the number, among all that were started, of a rank of the group.
    pub fn name(&self, rank: usize) -> usize {
        self.members[rank]
    }

    /// Returns what the operations of this rank share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
