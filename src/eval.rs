//! Loss, perplexity and bits per byte of a whole corpus; how well preferences are met.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Corpus, IGNORE, Layout, eval_batches};
use crate::error::Result;
use crate::model::{Decoder, TokenIds, preference_figures, read_floats};

/// How well a model predicts a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy, nats per token; of preference pairs the mean of their loss.
    pub loss: f64,
    /// `exp` of the mean cross-entropy, of preference pairs that of the chosen answers.
    pub perplexity: f64,
    /// Bits per byte of the same text: comparable across tokenizers.
    pub bits_per_byte: f64,
    /// Tokens predicted.
    pub tokens: u64,
    /// Of preference pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceFigures>,
}

/// How well the two answers of preference pairs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreferenceFigures {
    /// Mean of the rewards of the chosen answers less those of the rejected ones.
    pub margin: f64,
    /// Share of the pairs whose chosen answer has the greater reward.
    pub accuracy: f64,
}

/// Batches whose losses are read back together, so that the device need not wait for the host.
const READ_EVERY: usize = 16;

/// An evaluation under way; call [`Evaluator::advance`] until it is done.
pub struct Evaluator<'a> {
    model: Decoder,
    corpus: &'a Corpus,
    batches: Box<dyn Iterator<Item = Batch> + 'a>,
    bytes_of: &'a dyn Fn(u32) -> usize,
    /// The log-probability of each row so far.
    rows: Vec<f32>,
    tokens: u64,
    /// Tokens and bytes of what the perplexity is of.
    counted: [u64; 2],
}

impl<'a> Evaluator<'a> {
    /// Prepares to predict every token of `corpus` (but the first of each part) in windows of `seq_len`.
    ///
    /// `model` must not differentiate; `bytes_of` gives the bytes of text a token stands for.
    ///
    /// # Errors
    /// A corpus with nothing to predict.
    pub fn new(
        model: Decoder,
        corpus: &'a Corpus,
        seq_len: usize,
        batch_size: usize,
        bytes_of: &'a dyn Fn(u32) -> usize,
    ) -> Result<Self> {
        corpus.require_window("the text to evaluate", 1)?;
        let batches = Box::new(eval_batches(corpus, seq_len, batch_size));
        Ok(Self { model, corpus, batches, bytes_of, rows: Vec::new(), tokens: 0, counted: [0; 2] })
    }

    /// Evaluates a few batches. Returns false when there is none left.
    ///
    /// # Errors
    /// A token outside the model's vocabulary; a lost device.
    pub async fn advance(&mut self) -> Result<bool> {
        let device = self.model.device();
        let vocab = self.model.config().vocab_size;
        let mut found = Vec::new();
        for batch in self.batches.by_ref().take(READ_EVERY) {
            let ids = TokenIds::from_batch(&batch, vocab, &device)?;
            found.push(self.model.log_probabilities(ids, &batch.targets)?);
            for (row, targets) in batch.targets.chunks(batch.tokens).enumerate() {
                let targets = || targets.iter().filter(|id| **id != IGNORE);
                self.tokens += targets().count() as u64;
                if self.corpus.layout != Layout::Pairs || is_chosen(row) {
                    self.counted[0] += targets().count() as u64;
                    self.counted[1] += targets().map(|id| (self.bytes_of)(*id) as u64).sum::<u64>();
                }
            }
        }
        if found.is_empty() {
            return Ok(false);
        }
        self.rows.extend(read_floats(Tensor::cat(found, 0)).await?);
        Ok(true)
    }

    /// Tokens predicted so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The result over all tokens predicted.
    ///
    /// # Errors
    /// A lost device.
    pub async fn finish(self) -> Result<Evaluation> {
        let pairs = self.corpus.layout == Layout::Pairs;
        let rows = self.rows.iter().enumerate().filter(|(row, _)| !pairs || is_chosen(*row));
        let nats = -rows.map(|(_, row)| f64::from(*row)).sum::<f64>();
        let mean = nats / self.counted[0].max(1) as f64;
        let mut evaluation = Evaluation {
            loss: mean,
            perplexity: mean.exp(),
            bits_per_byte: nats / std::f64::consts::LN_2 / self.counted[1].max(1) as f64,
            tokens: self.tokens,
            preference: None,
        };
        if let Some(reference) = &self.corpus.reference {
            let rows = Tensor::from_floats(&self.rows[..], &self.model.device());
            let figures = read_floats(preference_figures(rows, reference)).await?;
            let [loss, margin, accuracy] = [0, 1, 2].map(|at| f64::from(figures[at]));
            evaluation.loss = loss;
            evaluation.preference = Some(PreferenceFigures { margin, accuracy });
        }
        Ok(evaluation)
    }
}

/// Whether a row of a corpus of pairs is a chosen answer: they and the rejected ones stand by turns.
fn is_chosen(row: usize) -> bool {
    row.is_multiple_of(2)
}

/// The log-probability of each answer of a corpus of pairs under `model`, which must not differentiate: what
/// preference tuning that begins with it is measured against.
///
/// # Errors
/// As of [`Evaluator`].
pub async fn answers(
    model: Decoder,
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> Result<Vec<f32>> {
    if corpus.is_empty() {
        return Ok(Vec::new());
    }
    let mut evaluator = Evaluator::new(model, corpus, seq_len, batch_size, &|_| 0)?;
    while evaluator.advance().await? {}
    Ok(evaluator.rows)
}
