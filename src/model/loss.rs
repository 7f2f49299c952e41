//! From the residual stream to a loss.

use burn::tensor::Tensor;

use super::params::cast_like;
use super::pass::Mode;
use super::preference::Outcome;
use super::probe::Probe;
use super::{Decoder, TokenIds, ids};
use crate::config::Precision;
use crate::data::Reference;
use crate::error::Result;
use crate::kernels::cross_entropy::{self, Targets, head_loss, head_losses};
use crate::kernels::dropout::Dropout;
use crate::kernels::precision;

/// What a loss is made of, and how the pass to it computes.
#[derive(Clone, Copy, Debug)]
pub struct LossOptions<'a> {
    /// Weight of each target that counts, or of each pair; one over their number gives the mean.
    pub scale: f64,
    /// Weight of the squared logarithm of each target's softmax normalizer (PaLM, section 5); 0 for the
    /// cross-entropy alone.
    pub z_loss: f64,
    /// Without a seed nothing is dropped. Nor is with a `reference`, as in TRL's `DPOTrainer`: dropped numbers would
    /// stand in a margin as if the answers had become likelier or less so.
    pub dropout_seed: Option<u32>,
    /// What the pass computes in.
    pub precision: Precision,
    /// Makes it the loss of preference pairs, two rows each, without a z-loss and without dropout.
    pub reference: Option<&'a Reference>,
}

impl LossOptions<'_> {
    /// The cross-entropy alone, in f32 and without dropout: what an evaluation reports.
    pub fn evaluation(scale: f64) -> Self {
        Self { scale, z_loss: 0.0, dropout_seed: None, precision: Precision::F32, reference: None }
    }
}

impl Decoder {
    /// Cross-entropy in nats, with the z-loss of `options`, summed over the targets that count and multiplied
    /// by `options.scale`, on the device: `[1]`. With a reference it is the loss of direct preference
    /// optimization instead, summed over the pairs.
    ///
    /// `targets` are the `B T` next tokens, row by row, [`IGNORE`](crate::data::IGNORE) where none counts.
    ///
    /// # Errors
    /// A target outside the vocabulary; more tokens than `max_position_embeddings`.
    pub fn loss(
        &self,
        ids: TokenIds,
        targets: &[u32],
        options: LossOptions<'_>,
        probe: Option<&mut dyn Probe>,
    ) -> Result<Tensor<1>> {
        Ok(self.outcome(ids, targets, options, probe)?.loss)
    }

    /// The log-probability of the targets that count in each sequence, summed, in nats: `[B]`.
    ///
    /// # Errors
    /// As of [`Self::loss`].
    pub fn log_probabilities(&self, ids: TokenIds, targets: &[u32]) -> Result<Tensor<1>> {
        let (options, sequences) = (LossOptions::evaluation(1.0), ids.batch);
        let targets = ids::targets(targets, self.config.vocab_size, &self.device())?;
        let stream = self.run(ids, None, None, self.mode(options))?;
        Ok(self.row_log_probabilities(stream, targets, sequences))
    }

    /// [`Self::loss`] with what else is known of pairs.
    pub(super) fn outcome(
        &self,
        ids: TokenIds,
        targets: &[u32],
        options: LossOptions<'_>,
        probe: Option<&mut dyn Probe>,
    ) -> Result<Outcome> {
        let targets = ids::targets(targets, self.config.vocab_size, &self.device())?;
        let stream = self.run(ids, None, probe, self.mode(options))?;
        Ok(self.judge(stream, targets, options))
    }

    /// How a pass computes.
    pub(super) fn mode(&self, options: LossOptions<'_>) -> Mode {
        let probability = self.config.dropout as f32;
        let drops = probability > 0.0 && options.reference.is_none();
        let seed = options.dropout_seed.filter(|_| drops);
        let dropout = seed.map(|seed| Dropout { probability, seed });
        Mode { dropout, dtype: precision::dtype(options.precision) }
    }

    /// What the head makes of the residual stream after the last block, `[N, C]`.
    pub(super) fn judge(
        &self,
        stream: Tensor<2>,
        targets: Targets,
        options: LossOptions<'_>,
    ) -> Outcome {
        if let Some(reference) = options.reference {
            let rows = reference.log_probabilities.len();
            let found = self.row_log_probabilities(stream, targets, rows);
            return Outcome::of_pairs(found, reference, options.scale);
        }
        let weight = cast_like(&stream, self.unembedding());
        let options = self.head_options(options.scale, options.z_loss);
        let loss = head_loss(self.norm.forward(stream), weight, targets, options);
        Outcome { loss, preference: None }
    }

    /// The log-probability of each of the `rows` that the residual stream is made of: `[rows]`.
    fn row_log_probabilities(&self, stream: Tensor<2>, targets: Targets, rows: usize) -> Tensor<1> {
        let tokens = stream.dims()[0] / rows;
        let weight = cast_like(&stream, self.unembedding());
        let options = self.head_options(1.0, 0.0);
        let losses = head_losses(self.norm.forward(stream), weight, targets, options);
        -losses.reshape([rows, tokens]).sum_dim(1).reshape([rows])
    }

    fn head_options(&self, scale: f64, z_loss: f64) -> cross_entropy::Options {
        cross_entropy::Options {
            scale: scale as f32,
            z_loss: z_loss as f32,
            soft_cap: self.config.final_logit_softcapping.map(|cap| cap as f32),
        }
    }
}
