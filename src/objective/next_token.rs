//! Next-token prediction: cross-entropy of each target, with an optional z-loss.

use burn::tensor::Tensor;

use super::{Format, Forward, LOSS, Metric, Objective, Outcome, Reduction, Sum};
use crate::error::Result;
use crate::model::CrossEntropy;

/// Cross-entropy of the next token, in nats. An evaluation also reports perplexity and bits per byte.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NextToken {
    /// Weight of the squared logarithm of the softmax normalizer (PaLM, Chowdhery et al. 2022, section 5) in the
    /// training loss; 0 for none. An evaluation never includes it.
    pub z_loss: f64,
}

/// Perplexity of the evaluated tokens.
pub(super) const PERPLEXITY: Metric = Metric {
    name: "perplexity",
    label: "perplexity",
    description: "exp of the mean cross-entropy per token: the number of equally likely tokens that would be as hard \
                  to choose from.",
    reduction: Reduction::ExpMean,
    format: Format::Decimals(2),
};

/// Cross-entropy of the evaluated tokens per byte of their text.
pub(super) const BITS_PER_BYTE: Metric = Metric {
    name: "bits_per_byte",
    label: "bits per byte",
    description: "Cross-entropy per byte of text, in bits. Comparable across tokenizers.",
    reduction: Reduction::MeanBits,
    format: Format::Decimals(3),
};

impl Objective for NextToken {
    fn suits_divided_vocabulary(&self) -> bool {
        true
    }

    fn metrics(&self) -> &[Metric] {
        &[PERPLEXITY, BITS_PER_BYTE]
    }

    fn loss(&self, pass: Forward<'_>, scale: f64) -> Result<Outcome> {
        let Forward { model, residual, batch } = pass;
        let targets = model.targets(&batch.targets)?;
        let weights = CrossEntropy { scale, z_loss: self.z_loss };
        Ok(model.cross_entropy(residual, targets, weights).into())
    }

    fn evaluate(&self, pass: Forward<'_>, bytes_of: &dyn Fn(u32) -> usize) -> Result<Vec<Sum>> {
        let Forward { model, residual, batch } = pass;
        let targets = model.targets(&batch.targets)?;
        let nats = -model.sequence_log_probs(residual, targets, batch.rows);
        let weight = batch.counted() as f64;
        let mut sums = vec![Sum { name: LOSS, values: nats.clone(), weight }];
        sums.extend(text_metrics(nats, batch.counted_targets(), bytes_of));
        Ok(sums)
    }
}

/// Perplexity and bits per byte of `targets`, whose cross-entropies add up to `nats [n]`.
pub(super) fn text_metrics(
    nats: Tensor<1>,
    targets: impl Iterator<Item = u32>,
    bytes_of: &dyn Fn(u32) -> usize,
) -> [Sum; 2] {
    let mut tokens = 0;
    let mut bytes = 0;
    for id in targets {
        tokens += 1;
        bytes += bytes_of(id);
    }
    [(PERPLEXITY, nats.clone(), tokens), (BITS_PER_BYTE, nats, bytes)]
        .map(|(metric, values, weight)| Sum { name: metric.name, values, weight: weight as f64 })
}
