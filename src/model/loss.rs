//! From the residual stream to log-probabilities of the targets.
//!
//! The head and the cross-entropy are one kernel ([`head_loss`]), so the `[N, V]` logits are never in memory as a
//! whole. What they are used for is up to an objective (`crate::objective`).

use burn::tensor::Tensor;

use super::params::cast_like;
use super::{Decoder, ids};
use crate::error::Result;
use crate::kernels::cross_entropy::{self, Targets, head_loss, head_losses};

/// Weights of a summed cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Weight of each target that counts; one over their number gives the mean.
    pub scale: f64,
    /// Weight of the squared logarithm of each target's softmax normalizer (PaLM, Chowdhery et al. 2022, section 5),
    /// relative to its cross-entropy; 0 for none.
    pub z_loss: f64,
}

impl CrossEntropy {
    /// The cross-entropy alone, each target weighted by `scale`.
    pub fn scaled(scale: f64) -> Self {
        Self { scale, z_loss: 0.0 }
    }
}

impl Decoder {
    /// Copies targets `[N]` to the model's device, for [`Self::cross_entropy`] and [`Self::sequence_log_probs`].
    /// [`IGNORE`](crate::data::IGNORE) becomes -1, which the kernels skip.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`](crate::error::Error::TokenOutOfRange) for a target outside the vocabulary.
    pub fn targets(&self, targets: &[u32]) -> Result<Targets> {
        ids::targets(targets, self.config.vocab_size, &self.device())
    }

    /// Sums the weighted cross-entropy, in nats, of all targets that count: `[1]`, from the residual stream after the
    /// last block `[N, C]` and `targets [N]`.
    pub fn cross_entropy(
        &self,
        residual: Tensor<2>,
        targets: Targets,
        weights: CrossEntropy,
    ) -> Tensor<1> {
        let head = cast_like(&residual, self.unembedding());
        let (x, options) = (self.norm.forward(residual), self.head_options(weights));
        match self.vocabulary() {
            Some(vocabulary) => vocabulary.loss(vocabulary.ranks.enter(x), head, targets, options),
            None => head_loss(x, head, targets, options),
        }
    }

    /// Sums the log-probabilities, in nats, of the targets that count in each of `rows` sequences: `[rows]`, from the
    /// residual stream after the last block `[N, C]` and `targets [N]`. They have no gradient if ranks divide the vocabulary.
    pub fn sequence_log_probs(
        &self,
        residual: Tensor<2>,
        targets: Targets,
        rows: usize,
    ) -> Tensor<1> {
        let tokens = residual.dims()[0] / rows;
        let head = cast_like(&residual, self.unembedding());
        let options = self.head_options(CrossEntropy::scaled(1.0));
        let x = self.norm.forward(residual);
        let losses = match self.vocabulary() {
            Some(vocabulary) => vocabulary.losses(x, head, targets, options),
            None => head_losses(x, head, targets, options),
        };
        -losses.reshape([rows, tokens]).sum_dim(1).reshape([rows])
    }

    fn head_options(&self, weights: CrossEntropy) -> cross_entropy::Options {
        cross_entropy::Options {
            scale: weights.scale as f32,
            z_loss: weights.z_loss as f32,
            soft_cap: self.config.final_logit_softcapping.map(|cap| cap as f32),
        }
    }
}
