//! The parts of a model's parameters, arithmetic and activations. [`Estimate`](super::Estimate) adds them up for one device,
//! and [`plan`](crate::plan) divides them among many.

use super::{HiddenAct, ModelConfig, PositionEmbedding};

/// Parts of a model, as numbers (not bytes) and floating-point operations.
///
/// Sizes may be anything that can be typed, so the arithmetic is in f64, which is exact up to 2^53 and does not wrap around.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Number of blocks.
    pub layers: f64,
    /// Width of the residual stream.
    pub width: f64,
    /// Size of the vocabulary.
    pub vocab: f64,
    /// Parameters in the matrices of one block.
    pub block_matrices: f64,
    /// Those of them in the MLP.
    pub mlp_matrices: f64,
    /// Parameters in the biases and norms of one block.
    pub block_vectors: f64,
    /// Parameters of the token embedding.
    pub embedding: f64,
    /// Parameters of the learned positions; 0 if positions are computed.
    pub positions: f64,
    /// Parameters of the norm after the last block.
    pub final_norm: f64,
    /// Parameters of the output head; 0 if it is the token embedding.
    pub head: f64,
    /// Floating-point operations per token of a forward pass through one block: a multiply and an add per weight of every
    /// matrix, and attention's scores and weighted sum over the keys before each query, or in the window (PaLM, Chowdhery et
    /// al. 2022, appendix B, counts all keys of the sequence; so does this).
    pub block_flops: f64,
    /// Floating-point operations per token of a forward pass through the output head. Embeddings are looked up.
    pub head_flops: f64,
    /// Numbers per token that one block keeps for the backward pass and that tensor parallelism does not divide: input and
    /// output of two norms.
    pub kept_whole: f64,
    /// Numbers per token that one block keeps for the backward pass and that tensor parallelism divides by heads and neurons:
    /// queries, keys and values, twice where they are rotated; the output of attention and its normalizers; the neurons of
    /// the MLP before and after their activation.
    pub kept_divided: f64,
    /// Numbers per token that kernels other than matrix products read and write in a forward pass through one block, and that
    /// tensor parallelism does not divide: two norms, and two sums of a branch and the residual stream.
    pub moved_whole: f64,
    /// As [`Self::moved_whole`], divided by tensor parallelism: the rotation, attention's input and output, the activation
    /// function.
    pub moved_divided: f64,
    /// Numbers per token in the attention scores of one block. The attention kernel here never writes them to memory.
    pub scores: f64,
}

impl Costs {
    /// Returns the parts of `config` on sequences of `seq_len` tokens.
    pub fn new(config: &ModelConfig, seq_len: usize) -> Self {
        let c = config;
        let d = c.hidden_size as f64;
        let ff = c.intermediate_size as f64;
        let vocab = c.vocab_size as f64;
        let heads = c.num_attention_heads as f64;
        let q = heads * c.head_dim as f64;
        let kv = c.num_key_value_heads as f64 * c.head_dim as f64;
        let up = if c.hidden_act == HiddenAct::Swiglu { 2.0 * ff } else { ff };
        let block_matrices = d * (q + 2.0 * kv) + q * d + d * up + ff * d;
        let attention_biases = if c.attention_bias { q + 2.0 * kv + d } else { 0.0 };
        let mlp_biases = if c.mlp_bias { up + d } else { 0.0 };
        let norm = if c.has_norm_bias() { 2.0 * d } else { d };
        let qk_norm = if c.qk_norm { 2.0 * c.head_dim as f64 } else { 0.0 };
        let positions = match c.position_embedding {
            PositionEmbedding::Learned => c.max_position_embeddings as f64 * d,
            _ => 0.0,
        };
        let keys =
            c.sliding_window.map_or(seq_len as f64, |window| (seq_len as f64).min(window as f64));
        let qkv = q + 2.0 * kv;
        let is_rotated = c.position_embedding == PositionEmbedding::Rope || !c.fused_qkv;
        let copies_of_qkv = if is_rotated { 2.0 } else { 1.0 };
        Self {
            layers: c.num_hidden_layers as f64,
            width: d,
            vocab,
            block_matrices,
            mlp_matrices: d * up + ff * d,
            block_vectors: attention_biases + mlp_biases + 2.0 * norm + qk_norm,
            embedding: vocab * d,
            positions,
            final_norm: norm,
            head: if c.tie_word_embeddings { 0.0 } else { vocab * d },
            // A multiply and an add per weight of every matrix; embeddings are looked up, and the head is a product even when
            // tied. Attention: scores and weighted sum over the keys of each query.
            block_flops: 2.0 * block_matrices + 4.0 * q * keys,
            head_flops: 2.0 * vocab * d,
            kept_whole: 4.0 * d,
            kept_divided: copies_of_qkv * qkv + q + heads + up + ff,
            moved_whole: 2.0 * (2.0 * d) + 2.0 * (3.0 * d),
            moved_divided: (2.0 * copies_of_qkv - 1.0) * qkv + q + up + ff,
            scores: heads * keys,
        }
    }

    /// Returns the number of parameters of one block.
    pub fn block(&self) -> f64 {
        self.block_matrices + self.block_vectors
    }

    /// Returns the number of parameters without token and position embeddings (N of Kaplan et al. 2020).
    pub fn body(&self) -> f64 {
        self.layers * self.block() + self.final_norm
    }

    /// Returns the number of parameters. A tied embedding counts once.
    pub fn parameters(&self) -> f64 {
        self.embedding + self.positions + self.body() + self.head
    }

    /// Returns the floating-point operations per token of a forward pass.
    pub fn forward_flops(&self) -> f64 {
        self.layers * self.block_flops + self.head_flops
    }

    /// Returns the numbers per token that one block keeps for the backward pass.
    pub fn kept(&self) -> f64 {
        self.kept_whole + self.kept_divided
    }
}
