//! The parts of training that ranks can divide among themselves.

use std::fmt;

/// The tensors of which each rank holds only a part (ZeRO, Rajbhandari et al. 2020). Weights are whole on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharding {
    /// Nothing.
    #[default]
    None,
    /// The optimizer's state: each rank updates its part of every parameter, and the parts are gathered.
    State,
    /// The optimizer's state, and the gradients once they are added up. Moves a third fewer bytes than [`Self::State`], where
    /// the sums of gradients are gathered, too.
    Gradients,
}

impl Sharding {
    /// All of them, in the order of their levels.
    pub const ALL: [Self; 3] = [Self::None, Self::State, Self::Gradients];

    /// Returns the level of ZeRO: 0, 1 or 2.
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
