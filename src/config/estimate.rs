//! Parameters, arithmetic and memory of a configuration, computed without building the model.
//!
//! Sizes may be anything that can be typed, so the arithmetic is in f64, which is exact up to 2^53 and does not wrap around;
//! results beyond 2^64 are reported as the largest number.

use serde::{Deserialize, Serialize};

use super::step_memory::{Numbers, activations, copies, of_block};
use super::{Costs, DataConfig, ModelConfig, Replicas, Share, StepMemory, TrainConfig};

/// Parameters, arithmetic and memory of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Estimate {
    /// Number of parameters. A tied embedding counts once.
    pub parameters: u64,
    /// Number of trained parameters: all, or those of the adapters, which `parameters` does not include.
    pub trained_parameters: u64,
    /// Number of parameters without token and position embeddings (N of Kaplan et al. 2020).
    pub non_embedding_parameters: u64,
    /// Floating-point operations per token of one forward pass at `seq_len`.
    pub forward_flops_per_token: u64,
    /// Floating-point operations per token of forward and backward pass (PaLM's convention: 6N + 12LHQT).
    pub train_flops_per_token: u64,
    /// Bytes of the weights in f32, adapters included.
    pub weight_bytes: u64,
    /// Bytes of weights and, for trained parameters, gradients and the optimizer's moments (two of AdamW, one of Muon for
    /// the matrices of the blocks), all in f32.
    pub state_bytes: u64,
    /// Bytes of the activations kept for the backward pass and, in 16 bits, of the weights' rounded copies.
    pub activation_bytes: u64,
    /// Bytes in use at the peak of a step: of state and activations together, since gradients replace activations.
    pub step_bytes: u64,
    /// Bytes of the KV cache of one sequence at full context, in f32.
    pub kv_cache_bytes: u64,
    /// Bytes of weights and optimizer state, as they are copied to save a checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of the largest single tensor: a weight or the activations of a layer.
    pub largest_tensor_bytes: u64,
}

/// Bytes of a device's share of a run, counted as those of [`Estimate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareEstimate {
    /// Weights and, for trained parameters, the gradients and the optimizer's moments that it keeps.
    pub state_bytes: u64,
    /// Activations that it keeps for the backward pass and, in 16 bits, rounded copies of its weights.
    pub activation_bytes: u64,
}

impl ShareEstimate {
    /// Estimates a share. `adapters` is the number of parameters of the adapters in the whole model, 0 without.
    pub fn new(costs: &Costs, adapters: f64, train: &TrainConfig, share: &Share) -> Self {
        let numbers = Numbers::new(costs, adapters, train, share);
        let Replicas { dp, zero } = share.replicas;
        let owners = |level: u8| if zero >= level { dp as f64 } else { 1.0 };
        let state = numbers.weights + numbers.trained / owners(2) + numbers.moments / owners(1);
        let [kept, logits] = activations(costs, train, share);
        let recomputed = match train.gradient_checkpointing {
            true => of_block(costs, train, share),
            false => 0.0,
        };
        let activations = kept + recomputed + logits + copies(train, &numbers);
        Self { state_bytes: (4.0 * state) as u64, activation_bytes: activations as u64 }
    }
}

impl Estimate {
    /// Estimates a run of `config` with these settings.
    pub fn of_run(config: &ModelConfig, train: &TrainConfig, data: &DataConfig) -> Self {
        let batch_size = train.batch_size.saturating_mul(data.kind.rows());
        Self::new(config, &TrainConfig { batch_size, ..train.clone() }, data.seq_len)
    }

    /// Estimates training of `config` on batches of `train.batch_size` sequences of `seq_len` tokens.
    pub fn new(config: &ModelConfig, train: &TrainConfig, seq_len: usize) -> Self {
        let costs = Costs::new(config, seq_len);
        let share = Share {
            blocks: costs.layers,
            tp: 1.0,
            embeds: true,
            has_head: true,
            tokens: train.batch_size as f64 * seq_len as f64,
            micro_batches: train.grad_accum,
            in_flight: 1.0,
            replicas: Replicas { dp: 1, zero: 0 },
        };
        let adapters = train.lora.parameters(config);
        let numbers = Numbers::new(&costs, adapters, train, &share);
        let Numbers { weights, trained, moments, .. } = numbers;
        let ShareEstimate { state_bytes, activation_bytes } =
            ShareEstimate::new(&costs, adapters, train, &share);
        let weights = 4.0 * weights;
        // The backward pass computes as much for the weights as for their inputs; frozen weights need no gradient.
        let passes = if train.adapts() { 2.0 } else { 3.0 };
        let kv = config.num_key_value_heads as f64 * config.head_dim as f64;
        let widest = [
            config.num_attention_heads as f64 * config.head_dim as f64 + 2.0 * kv,
            config.intermediate_size as f64,
            costs.width,
        ];
        let widest = widest.into_iter().fold(0.0, f64::max);
        let largest_weight = (costs.width * widest).max(costs.embedding).max(costs.positions);
        let largest_activation = train.precision.bytes() as f64 * share.tokens * widest;
        Self {
            parameters: costs.parameters() as u64,
            trained_parameters: trained as u64,
            non_embedding_parameters: (costs.body() + costs.head) as u64,
            forward_flops_per_token: costs.forward_flops() as u64,
            train_flops_per_token: (passes * costs.forward_flops()) as u64,
            weight_bytes: weights as u64,
            state_bytes,
            activation_bytes,
            step_bytes: StepMemory::new(&costs, adapters, train, &share).total() as u64,
            kv_cache_bytes: (8.0 * costs.layers * kv * config.max_position_embeddings as f64)
                as u64,
            checkpoint_bytes: (weights + 4.0 * moments) as u64,
            largest_tensor_bytes: (4.0 * largest_weight).max(largest_activation) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::preset;
    use super::*;

    /// GPT-2's counts are from its checkpoints (Hugging Face `num_parameters`), Llama's are computed by hand.
    #[test]
    fn parameter_counts_equal_the_published_ones() {
        for (name, parameters) in [
            ("gpt2", 124_439_808),
            ("gpt2-medium", 354_823_168),
            ("gpt2-large", 774_030_080),
            ("gpt2-xl", 1_557_611_200),
            ("llama-7b", 6_738_415_616),
        ] {
            let config = preset(name).unwrap().model;
            let estimate = Estimate::new(&config, &TrainConfig::default(), 1);
            assert_eq!(estimate.parameters, parameters, "{name}");
        }
    }
}
