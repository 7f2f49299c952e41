//! Builders of the two families of architectures.

use super::architecture::{HiddenAct, NormKind, PositionEmbedding};
use super::model::ModelConfig;

impl ModelConfig {
    /// Returns a GPT-2 (Radford et al. 2019) of the default size: learned positions, LayerNorm, fused QKV, biases, GELU,
    /// tied embeddings.
    pub fn gpt2(vocab_size: usize) -> Self {
        Self { vocab_size, ..Self::default() }
    }

    /// Returns a LLaMA (Touvron et al. 2023) of the default size: RoPE, RMSNorm, separate Q, K and V, SwiGLU, no biases,
    /// a head of its own.
    pub fn llama(vocab_size: usize) -> Self {
        let config = Self {
            vocab_size,
            position_embedding: PositionEmbedding::Rope,
            norm: NormKind::RmsNorm,
            norm_eps: 1e-6,
            norm_bias: false,
            hidden_act: HiddenAct::Swiglu,
            fused_qkv: false,
            attention_bias: false,
            mlp_bias: false,
            tie_word_embeddings: false,
            ..Self::default()
        };
        Self { intermediate_size: config.default_intermediate_size(), ..config }
    }

    /// Sets `max_position_embeddings`.
    pub fn with_context(self, tokens: usize) -> Self {
        Self { max_position_embeddings: tokens, ..self }
    }

    /// Sets `hidden_size`, and with it `head_dim` and the default `intermediate_size`.
    pub fn with_hidden_size(self, hidden_size: usize) -> Self {
        let config = Self { hidden_size, ..self };
        Self {
            head_dim: config.default_head_dim(),
            intermediate_size: config.default_intermediate_size(),
            ..config
        }
    }

    /// Sets `num_hidden_layers`.
    pub fn with_layers(self, layers: usize) -> Self {
        Self { num_hidden_layers: layers, ..self }
    }

    /// Sets `num_attention_heads`, and with it `head_dim` and as many key-value heads.
    pub fn with_heads(self, heads: usize) -> Self {
        let config = Self { num_attention_heads: heads, num_key_value_heads: heads, ..self };
        Self { head_dim: config.default_head_dim(), ..config }
    }

    /// Sets `num_key_value_heads`. Call it after [`Self::with_heads`].
    pub fn with_kv_heads(self, heads: usize) -> Self {
        Self { num_key_value_heads: heads, ..self }
    }

    /// Sets `intermediate_size`. Call it after [`Self::with_hidden_size`].
    pub fn with_intermediate_size(self, intermediate_size: usize) -> Self {
        Self { intermediate_size, ..self }
    }

    /// Returns the `head_dim` with which all heads together are as wide as the model; 0 without heads.
    pub fn default_head_dim(&self) -> usize {
        self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0)
    }

    /// Returns the usual `intermediate_size`: 4 times the width, or with SwiGLU, which has a third matrix, 8/3 times,
    /// rounded up to a multiple of 8 (Shazeer 2020).
    pub fn default_intermediate_size(&self) -> usize {
        match self.hidden_act {
            HiddenAct::Swiglu => self.hidden_size.saturating_mul(8).div_ceil(3).next_multiple_of(8),
            _ => self.hidden_size.saturating_mul(4),
        }
    }
}
