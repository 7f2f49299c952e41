//! Parameters, arithmetic and memory of a configuration, computed without building the model.
//!
//! Sizes may be anything that can be typed, so the arithmetic is in f64, which is exact up to 2^53 and does not wrap around;
//! results beyond 2^64 are reported as the largest number.

use serde::{Deserialize, Serialize};

use super::{
    DataConfig, HiddenAct, ModelConfig, OptimizerKind, PositionEmbedding, Precision, TrainConfig,
};

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
    /// Bytes of the activations kept for the backward pass and, in 16 bits, of the weights' rounded copies. Accurate
    /// within about a factor of two.
    pub activation_bytes: u64,
    /// Bytes of the KV cache of one sequence at full context, in f32.
    pub kv_cache_bytes: u64,
    /// Bytes of weights and optimizer state, as they are copied to save a checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of the largest single tensor: a weight or the activations of a layer.
    pub largest_tensor_bytes: u64,
}

impl Estimate {
    /// Estimates a run of `config` with these settings.
    pub fn of_run(config: &ModelConfig, train: &TrainConfig, data: &DataConfig) -> Self {
        let batch_size = train.batch_size.saturating_mul(data.kind.rows());
        Self::new(config, &TrainConfig { batch_size, ..train.clone() }, data.seq_len)
    }

    /// Estimates training of `config` on batches of `train.batch_size` sequences of `seq_len` tokens.
    pub fn new(config: &ModelConfig, train: &TrainConfig, seq_len: usize) -> Self {
        let c = config;
        let d = c.hidden_size as f64;
        let ff = c.intermediate_size as f64;
        let v = c.vocab_size as f64;
        let heads = c.num_attention_heads as f64;
        let q = heads * c.head_dim as f64;
        let kv = c.num_key_value_heads as f64 * c.head_dim as f64;
        let layers = c.num_hidden_layers as f64;
        let t = seq_len as f64;
        let b = train.batch_size as f64;

        let up = if c.hidden_act == HiddenAct::Swiglu { 2.0 * ff } else { ff };
        let block_matrices = d * (q + 2.0 * kv) + q * d + d * up + ff * d;
        let attention_biases = if c.attention_bias { q + 2.0 * kv + d } else { 0.0 };
        let mlp_biases = if c.mlp_bias { up + d } else { 0.0 };
        let norm = if c.has_norm_bias() { 2.0 * d } else { d };
        let qk_norm = if c.qk_norm { 2.0 * c.head_dim as f64 } else { 0.0 };
        let block = block_matrices + attention_biases + mlp_biases + 2.0 * norm + qk_norm;
        let positions = match c.position_embedding {
            PositionEmbedding::Learned => c.max_position_embeddings as f64,
            _ => 0.0,
        };
        let head = if c.tie_word_embeddings { 0.0 } else { v * d };
        let body = layers * block + norm;
        let parameters = v * d + positions * d + body + head;
        // The backward pass computes as much for the weights as for their inputs; frozen weights need no gradient.
        let passes = if train.adapts() { 2.0 } else { 3.0 };
        let adapters = train.lora.parameters(c);
        let trained_parameters = if !train.adapts() {
            parameters
        } else if train.lora.embeddings {
            adapters + v * d + head
        } else {
            adapters
        };
        let moments = match train.optimizer.kind {
            OptimizerKind::Adamw => 2.0 * trained_parameters,
            OptimizerKind::Muon => 2.0 * trained_parameters - layers * block_matrices,
        };

        // A multiply and an add per weight of every matrix; embeddings are looked up, and the head is a product even when
        // tied. Attention: scores and weighted sum over T keys per query, or over the window.
        let keys = c.sliding_window.map_or(t, |window| t.min(window as f64));
        let forward = 2.0 * (layers * block_matrices + v * d) + 4.0 * layers * q * keys;

        // Tensors kept for the backward pass: per block the input and output of two norms; queries, keys and values, twice
        // where they are rotated; the output of attention and its normalizers; the neurons of the MLP before and after their
        // activation. The head keeps its gradients; logits are in memory in chunks.
        let rotated = c.position_embedding == PositionEmbedding::Rope || !c.fused_qkv;
        let qkv = (q + 2.0 * kv) * if rotated { 2.0 } else { 1.0 };
        let in_block = 4.0 * d + qkv + q + heads + up + ff;
        let blocks =
            if train.gradient_checkpointing { layers * d + in_block } else { layers * in_block };
        let logits = (b * t * v).min(f64::from(1 << 24));
        let copies = if train.precision == Precision::F32 { 0.0 } else { parameters };
        let precision = train.precision.bytes() as f64;
        let widest = (q + 2.0 * kv).max(ff).max(d);
        let weights = 4.0 * (parameters + adapters);
        Self {
            parameters: parameters as u64,
            trained_parameters: trained_parameters as u64,
            non_embedding_parameters: (body + head) as u64,
            forward_flops_per_token: forward as u64,
            train_flops_per_token: (passes * forward) as u64,
            weight_bytes: weights as u64,
            state_bytes: (weights + 4.0 * (trained_parameters + moments)) as u64,
            activation_bytes: (precision * (b * t * (blocks + 3.0 * d) + logits + copies)) as u64,
            kv_cache_bytes: (8.0 * layers * kv * c.max_position_embeddings as f64) as u64,
            checkpoint_bytes: (weights + 4.0 * moments) as u64,
            largest_tensor_bytes: (4.0 * d * v.max(positions).max(widest))
                .max(precision * b * t * widest) as u64,
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
