//! Direct preference optimization (DPO, Rafailov et al. 2023): the chosen completion of a pair is to become more
//! likely than the rejected one, relative to the model that training started from.

use burn::tensor::{Tensor, activation::log_sigmoid};

use super::next_token::{BITS_PER_BYTE, PERPLEXITY, text_metrics};
use super::{Format, Forward, LOSS, Metric, Objective, Outcome, Reduction, Sum};
use crate::config::ObjectiveConfig;
use crate::data::{Batch, Corpus, IGNORE, eval_batches};
use crate::error::{Error, Result};
use crate::model::{Decoder, TokenIds, read_floats};

/// DPO on preference pairs: two rows each, the chosen completion first. A term is a pair.
///
/// Dropout is off, as in TRL's `DPOTrainer`: its noise would appear in every margin as if a completion had become
/// more or less likely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DirectPreference {
    /// `beta` of a reward, `beta * log(p / p_reference)`: how strongly the model is held to the reference.
    pub beta: f64,
}

const MARGIN: Metric = Metric {
    name: "margin",
    label: "margin",
    description: "Mean reward of the chosen completions minus that of the rejected ones. A completion’s reward is β \
                  times the increase of its log-probability since fine-tuning began.",
    reduction: Reduction::Mean,
    format: Format::Decimals(3),
};

const ACCURACY: Metric = Metric {
    name: "accuracy",
    label: "reward accuracy",
    description: "Share of the preference pairs whose chosen completion has the larger reward: it has gained more \
                  than the rejected one since fine-tuning began.",
    reduction: Reduction::Mean,
    format: Format::Percent,
};

impl DirectPreference {
    /// Takes `dpo_beta` from the settings.
    ///
    /// # Errors
    /// [`Error::Config`] for a z-loss, which this loss does not have.
    pub fn new(config: &ObjectiveConfig) -> Result<Self> {
        if config.z_loss > 0.0 {
            let problem = "the loss of preference pairs has no z-loss";
            return Err(Error::config("z_loss", problem, "set it to 0"));
        }
        Ok(Self { beta: config.dpo_beta })
    }

    /// Loss and margin of each of the batch's `P` pairs, `[P]`, and the log-probability of each of its rows, `[2 P]`.
    fn judge(&self, pass: Forward<'_>) -> Result<(Tensor<1>, Tensor<1>, Tensor<1>)> {
        let Forward { model, residual, batch } = pass;
        let reference = batch.reference_log_probs.as_ref().ok_or_else(|| {
            let problem = "the preference pairs have no log-probabilities under a reference model";
            Error::config("reference", problem, "fine-tune a model with them")
        })?;
        let targets = model.targets(&batch.targets)?;
        let log_probs = model.sequence_log_probs(residual, targets, batch.rows);
        let (losses, margins) = direct_preference(log_probs.clone(), reference, self.beta);
        Ok((losses, margins, log_probs))
    }
}

/// Loss and margin of each of `P` pairs, `[P]`, from the log-probabilities of their completions under the model and
/// under the reference, `[2 P]`, the chosen and the rejected one in turn.
fn direct_preference(log_probs: Tensor<1>, reference: &[f32], beta: f64) -> (Tensor<1>, Tensor<1>) {
    let pairs = reference.len() / 2;
    let reference = Tensor::from_floats(reference, &log_probs.device());
    let rewards = ((log_probs - reference) * beta).reshape([pairs, 2]);
    let side = |side: usize| rewards.clone().slice_dim(1, side..side + 1).reshape([pairs]);
    let margins = side(0) - side(1);
    (-log_sigmoid(margins.clone()), margins)
}

/// 1 for each positive margin, else 0.
fn correct(margins: Tensor<1>) -> Tensor<1> {
    margins.greater_elem(0.0).float()
}

impl Objective for DirectPreference {
    fn metrics(&self) -> &[Metric] {
        &[MARGIN, ACCURACY, PERPLEXITY, BITS_PER_BYTE]
    }

    fn terms(&self, batch: &Batch) -> usize {
        batch.rows / 2
    }

    fn uses_dropout(&self) -> bool {
        false
    }

    fn loss(&self, pass: Forward<'_>, scale: f64) -> Result<Outcome> {
        let (losses, margins, _) = self.judge(pass)?;
        let margins = margins.without_autodiff();
        let mean = |values: Tensor<1>| values.sum().mul_scalar(scale);
        let metrics =
            vec![(MARGIN.name, mean(margins.clone())), (ACCURACY.name, mean(correct(margins)))];
        Ok(Outcome { loss: mean(losses), metrics })
    }

    /// Perplexity and bits per byte are those of the chosen completions.
    fn evaluate(&self, pass: Forward<'_>, bytes_of: &dyn Fn(u32) -> usize) -> Result<Vec<Sum>> {
        let batch = pass.batch;
        let (losses, margins, log_probs) = self.judge(pass)?;
        let pairs = batch.rows / 2;
        let sum = |name, values| Sum { name, values, weight: pairs as f64 };
        let mut sums = vec![
            sum(LOSS, losses),
            sum(MARGIN.name, margins.clone()),
            sum(ACCURACY.name, correct(margins)),
        ];
        let nats = (-log_probs).reshape([pairs, 2]).slice_dim(1, 0..1).reshape([pairs]);
        let chosen = batch.targets.chunks(batch.tokens).step_by(2).flatten().copied();
        sums.extend(text_metrics(nats, chosen.filter(|id| *id != IGNORE), bytes_of));
        Ok(sums)
    }
}

/// Batches that are read back together, so that the device need not wait for the host after each.
const READ_EVERY: usize = 16;

/// Returns the log-probability, in nats, of each completion of preference pairs under `model`, which must not be on
/// an autodiff device. Measured with the model that fine-tuning starts from, they are all that DPO needs of it.
///
/// # Errors
/// A token outside the model's vocabulary; a lost device.
pub async fn reference_log_probs(
    model: &Decoder,
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> Result<Vec<f32>> {
    let mut found = Vec::new();
    let mut pending = Vec::new();
    for batch in eval_batches(corpus, seq_len, batch_size) {
        let ids = TokenIds::from_batch(&batch, model.config().vocab_size, &model.device())?;
        let residual = model.forward_residual(ids, None, None)?;
        let targets = model.targets(&batch.targets)?;
        pending.push(model.sequence_log_probs(residual, targets, batch.rows));
        if pending.len() == READ_EVERY {
            found.extend(read_floats(Tensor::cat(std::mem::take(&mut pending), 0)).await?);
        }
    }
    if !pending.is_empty() {
        found.extend(read_floats(Tensor::cat(pending, 0)).await?);
    }
    Ok(found)
}
