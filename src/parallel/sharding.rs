//! Sharding of the training state among ranks (ZeRO).

use std::fmt;

/// Tensors that are sharded among the replicas (ZeRO, Rajbhandari et al. 2020). Weights are replicated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharding {
    /// Nothing.
    #[default]
    None,
    /// The optimizer state: each rank updates its shard of every parameter, followed by an all-gather.
    State,
    /// The optimizer state and the reduced gradients. Moves a third fewer bytes than [`Self::State`], which all-gathers the
    /// gradients, too.
    Gradients,
}

impl Sharding {
    /// All of them, in the order of their levels.
    pub const ALL: [Self; 3] = [Self::None, Self::State, Self::Gradients];

    /// Returns the ZeRO level: 0, 1 or 2.
    pub fn level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::State => 1,
            Self::Gradients => 2,
        }
    }
}

impl fmt::Display for Sharding {
    /// Writes the level, which `--zero` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level())
    }
}
