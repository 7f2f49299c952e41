//! Parameters, arithmetic and memory of a configuration, computed without building the model.

use serde::{Deserialize, Serialize};

use super::{DataConfig, HiddenAct, ModelConfig, PositionEmbedding, Precision, TrainConfig};

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
    /// Bytes of weights and, for trained parameters, gradients and AdamW's two moments, all in f32.
    pub state_bytes: u64,
    /// Bytes of the activations kept for the backward pass and, in 16 bits, of the weights' rounded copies. Accurate
    /// within about a factor of two.
    pub activation_bytes: u64,
    /// Bytes of the KV cache of one sequence at full context, in f32.
    pub kv_cache_bytes: u64,
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
        let d = c.hidden_size as u64;
        let ff = c.intermediate_size as u64;
        let v = c.vocab_size as u64;
        let q = c.q_size() as u64;
        let kv = c.kv_size() as u64;
        let layers = c.num_hidden_layers as u64;
        let t = seq_len as u64;
        let b = train.batch_size as u64;

        let up = if c.hidden_act == HiddenAct::Swiglu { 2 * ff } else { ff };
        let block_matrices = d * (q + 2 * kv) + q * d + d * up + ff * d;
        let attention_biases = if c.attention_bias { q + 2 * kv + d } else { 0 };
        let mlp_biases = if c.mlp_bias { up + d } else { 0 };
        let norm = if c.has_norm_bias() { 2 * d } else { d };
        let qk_norm = if c.qk_norm { 2 * c.head_dim as u64 } else { 0 };
        let block = block_matrices + attention_biases + mlp_biases + 2 * norm + qk_norm;
        let positions = match c.position_embedding {
            PositionEmbedding::Learned => c.max_position_embeddings as u64 * d,
            _ => 0,
        };
        let head = if c.tie_word_embeddings { 0 } else { v * d };
        let body = layers * block + norm;
        let parameters = v * d + positions + body + head;
        // The backward pass computes as much for the weights as for their inputs; frozen weights need no gradient.
        let passes = if train.adapts() { 2 } else { 3 };
        let adapters = train.lora.parameters(c);
        let trained_parameters = if !train.adapts() {
            parameters
        } else if train.lora.embeddings {
            adapters + v * d + head
        } else {
            adapters
        };

        // A multiply and an add per weight of every matrix; embeddings are looked up, and the head is a product even when
        // tied. Attention: scores and weighted sum over T keys per query, or over the window.
        let keys = c.sliding_window.map_or(t, |window| t.min(window as u64));
        let forward = 2 * (layers * block_matrices + v * d) + 4 * layers * q * keys;

        // Tensors kept for the backward pass: per block the input and output of two norms; queries, keys and values, twice
        // where they are rotated; the output of attention and its normalizers; the neurons of the MLP before and after their
        // activation. The head keeps its gradients; logits are in memory in chunks.
        let rotated = c.position_embedding == PositionEmbedding::Rope || !c.fused_qkv;
        let heads = c.num_attention_heads as u64;
        let qkv = (q + 2 * kv) * if rotated { 2 } else { 1 };
        let in_block = 4 * d + qkv + q + heads + up + ff;
        let blocks =
            if train.gradient_checkpointing { layers * d + in_block } else { layers * in_block };
        let logits = (b * t * v).min(1 << 24);
        let copies = if train.precision == Precision::F32 { 0 } else { parameters };
        Self {
            parameters,
            trained_parameters,
            non_embedding_parameters: body + head,
            forward_flops_per_token: forward,
            train_flops_per_token: passes * forward,
            weight_bytes: 4 * (parameters + adapters),
            state_bytes: 4 * (parameters + adapters) + 12 * trained_parameters,
            activation_bytes: train.precision.bytes()
                * (b * t * (blocks + 3 * d) + logits + copies),
            kv_cache_bytes: 4 * 2 * layers * kv * c.max_position_embeddings as u64,
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
