//! Announcements for tensors on another transport: each rank announces that it has begun, so that errors name a rank that has
//! not.

use std::sync::Arc;

use super::{LANES, Messages, Reply, Shared, Staged};

/// Subject of the announcements of [`talk`](Staged::talk).
#[derive(Clone, Copy)]
pub enum About {
    /// An operation of the whole group, which all ranks start in the same order.
    Group,
    /// Tensors from one rank to another.
    Pair {
        /// True if the receiver has the higher rank.
        is_upward: bool,
    },
}

impl Staged {
    /// Sends the announcements `sends` to other ranks of the group, and receives one of the given length from each of `receives`.
    /// A rank whose announcement is missing is named as in any other operation.
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

    /// Returns the global rank of a member of the group.
    pub fn name(&self, rank: usize) -> usize {
        self.members[rank]
    }

    /// Returns the state that the operations of this rank share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
