//! Division of a run among devices.

use serde::Serialize;

use crate::config::{ModelConfig, TrainConfig};

/// Model, settings and batch of a training step.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The model.
    pub model: &'a ModelConfig,
    /// Precision, optimizer and adapters. Batch size, accumulation and recomputation follow from the [`Layout`].
    pub train: &'a TrainConfig,
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Sequences of one example: two for preference pairs.
    pub rows: usize,
    /// Examples in a step, those of all devices.
    pub global_batch: usize,
}

impl Work<'_> {
    /// Returns the tokens of a step.
    pub fn tokens(&self) -> f64 {
        self.global_batch as f64 * self.tokens_per_example()
    }

    /// Returns the tokens of an example.
    pub fn tokens_per_example(&self) -> f64 {
        self.rows as f64 * self.seq_len as f64
    }
}

/// Sizes of the parallel dimensions. Tensor-parallel ranks are neighbors, then come replicas, then stages, as in Megatron-LM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Replicas of the model (data parallelism).
    pub dp: usize,
    /// Devices that divide each matrix (tensor parallelism).
    pub tp: usize,
    /// Stages of the pipeline, with 1F1B.
    pub pp: usize,
    /// ZeRO level: the replicas shard nothing (0), the optimizer state (1), or also the reduced gradients (2).
    pub zero: u8,
    /// Examples in a micro-batch.
    pub micro_batch: usize,
    /// Keeps only the input of each block and recomputes the rest in the backward pass.
    pub recompute: bool,
    /// Chunks of blocks per stage in Megatron-LM's interleaved schedule; 1 without it.
    pub chunks: usize,
}

impl Layout {
    /// Returns the number of devices.
    pub fn devices(&self) -> usize {
        self.dp * self.tp * self.pp
    }

    /// Returns the micro-batches that each replica computes in a step.
    pub fn micro_batches(&self, work: &Work<'_>) -> usize {
        work.global_batch / (self.dp * self.micro_batch)
    }

    /// Returns the blocks of the largest stage.
    pub fn blocks(&self, work: &Work<'_>) -> f64 {
        work.model.num_hidden_layers.div_ceil(self.pp) as f64
    }

    /// Returns true if blankslate can train with this layout today. Other layouts are planned.
    pub fn is_trainable(&self, work: &Work<'_>) -> bool {
        let is_suitable = work.train.suits_division(self.pp, self.tp).is_ok();
        // Preference pairs need a whole vocabulary.
        let has_vocabulary = self.tp == 1 || work.rows == 1;
        self.chunks == 1 && is_suitable && has_vocabulary
    }
}
