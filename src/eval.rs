//! Loss, perplexity and bits per byte of a whole corpus.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, Corpus, IGNORE, eval_batches};
use crate::error::Result;
use crate::model::{Decoder, LossOptions, TokenIds, read_floats};

/// How well a model predicts a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// Bits per byte of text: comparable across tokenizers.
    pub bits_per_byte: f64,
    /// Tokens predicted.
    pub tokens: u64,
}

/// Batches whose losses are read back together, so that the device need not wait for the host.
const READ_EVERY: usize = 16;

/// An evaluation under way; call [`Evaluator::advance`] until it is done.
pub struct Evaluator<'a> {
    model: Decoder,
    batches: Box<dyn Iterator<Item = Batch> + 'a>,
    bytes_of: &'a dyn Fn(u32) -> usize,
    pending: Vec<(Tensor<1>, usize)>,
    nats: f64,
    tokens: u64,
    bytes: u64,
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
        Ok(Self { model, batches, bytes_of, pending: Vec::new(), nats: 0.0, tokens: 0, bytes: 0 })
    }

    /// Evaluates a few batches. Returns false when there is none left.
    ///
    /// # Errors
    /// A token outside the model's vocabulary; a lost device.
    pub async fn advance(&mut self) -> Result<bool> {
        let device = self.model.device();
        let vocab = self.model.config().vocab_size;
        for _ in 0..READ_EVERY {
            let Some(batch) = self.batches.next() else { break };
            let ids = TokenIds::of(&batch, vocab, &device)?;
            let counted = batch.counted();
            let options = LossOptions::evaluation(1.0 / counted.max(1) as f64);
            self.pending.push((self.model.loss(ids, &batch.targets, options, None)?, counted));
            self.tokens += counted as u64;
            let bytes =
                batch.targets.iter().filter(|id| **id != IGNORE).map(|id| (self.bytes_of)(*id));
            self.bytes += bytes.sum::<usize>() as u64;
        }
        let (losses, counts): (Vec<_>, Vec<_>) = self.pending.drain(..).unzip();
        if losses.is_empty() {
            return Ok(false);
        }
        let losses = read_floats(Tensor::cat(losses, 0)).await?;
        self.nats +=
            losses.iter().zip(counts).map(|(loss, n)| f64::from(*loss) * n as f64).sum::<f64>();
        Ok(true)
    }

    /// Tokens predicted so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The result over all tokens predicted.
    pub fn finish(self) -> Evaluation {
        let loss = self.nats / self.tokens.max(1) as f64;
        Evaluation {
            loss,
            perplexity: loss.exp(),
            bits_per_byte: self.nats / std::f64::consts::LN_2 / self.bytes.max(1) as f64,
            tokens: self.tokens,
        }
    }
}
