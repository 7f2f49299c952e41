//! What preference pairs are measured against.

/// The model that preference tuning begins with and is not to leave too far (Rafailov et al. 2023): all that the
/// loss needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// How dear it is to leave it: a reward is so many times the logarithm of how much likelier than under the
    /// reference an answer has become.
    pub beta: f64,
    /// The log-probability of each answer under it, in nats: of the chosen and the rejected one of a pair by turns.
    pub log_probabilities: Vec<f32>,
}

impl Reference {
    /// Of the answers `first..end` alone.
    pub(super) fn part(&self, first: usize, end: usize) -> Self {
        Self { beta: self.beta, log_probabilities: self.log_probabilities[first..end].into() }
    }
}
