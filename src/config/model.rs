//! The architecture, under Hugging Face's names.

use serde::{Deserialize, Serialize};

use super::require;
use crate::error::Result;

/// How a token's place in the sequence enters the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PositionEmbedding {
    /// A trained vector per position, added to the token's (GPT-2's `wpe`).
    Learned,
    /// Fixed sines and cosines, added to the token's (Vaswani et al. 2017).
    Sinusoidal,
    /// Rotation of query and key halves (Su et al. 2021), as Hugging Face's Llama does it.
    Rope,
    /// Nothing: the causal mask alone orders the tokens (Kazemnejad et al. 2023).
    None,
}

/// Normalization before each half of a block and before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Subtract the mean, divide by the deviation (Ba et al. 2016).
    LayerNorm,
    /// Divide by the root mean square (Zhang & Sennrich 2019).
    RmsNorm,
}

/// The feed-forward half of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// Two matrices around GELU in its tanh form (GPT-2's `gelu_new`).
    Gelu,
    /// Two matrices around the exact, erf form of GELU (Hugging Face's `gelu`).
    GeluErf,
    /// Three matrices, `down(silu(gate(x)) * up(x))` (Shazeer 2020), Llama's.
    Swiglu,
    /// Two matrices around `relu(x)^2` (So et al. 2021), nanochat's.
    Relu2,
}

/// How fresh weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum InitScheme {
    /// Normal with `initializer_range`; projections into the residual stream divided by
    /// `sqrt(2 * num_hidden_layers)` (Radford et al. 2019).
    Gpt2,
    /// Normal with deviation `1 / sqrt(fan_in)`; residual projections divided likewise.
    FanIn,
}

/// How RoPE's frequencies are stretched beyond the length a model was first trained at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RopeType {
    /// Every frequency divided by `factor` (Chen et al. 2023).
    Linear,
    /// Low frequencies divided, high ones kept, the ones between blended (Llama 3.1).
    Llama3,
}

/// Parameters of [`RopeType`], under Hugging Face's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RopeScaling {
    /// Which rule.
    pub rope_type: RopeType,
    /// Stretch factor, >= 1.
    pub factor: f64,
    /// Llama 3: wavelengths above `original / low_freq_factor` are stretched in full.
    pub low_freq_factor: f64,
    /// Llama 3: wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Llama 3: context length of the first training.
    pub original_max_position_embeddings: usize,
}

/// The architecture: everything that changes the function the model computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct ModelConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; fewer than query heads is grouped-query attention (Ainslie et al. 2023).
    pub num_key_value_heads: usize,
    /// Width of one head; usually `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// How positions enter.
    pub position_embedding: PositionEmbedding,
    /// RoPE's base.
    pub rope_theta: f64,
    /// RoPE's stretching, if any.
    pub rope_scaling: Option<RopeScaling>,
    /// Which normalization.
    pub norm: NormKind,
    /// The small number inside the normalization's square root.
    pub norm_eps: f64,
    /// A bias in LayerNorm (RMSNorm never has one).
    pub norm_bias: bool,
    /// Which MLP.
    pub hidden_act: HiddenAct,
    /// One matrix for query, key and value instead of three.
    pub fused_qkv: bool,
    /// Biases in attention's projections.
    pub attention_bias: bool,
    /// Biases in the MLP.
    pub mlp_bias: bool,
    /// Use the token embedding as the head (Press & Wolf 2017).
    pub tie_word_embeddings: bool,
    /// RMSNorm on each query and key head (Dehghani et al. 2023).
    pub qk_norm: bool,
    /// `cap * tanh(x / cap)` on attention scores (Gemma 2).
    pub attn_logit_softcapping: Option<f64>,
    /// `cap * tanh(x / cap)` on the logits (Gemma 2).
    pub final_logit_softcapping: Option<f64>,
    /// A query sees this many keys, its own included (Mistral, Jiang et al. 2023); all before it if left out.
    pub sliding_window: Option<usize>,
    /// Probability of zeroing, on embeddings, attention weights and both residual branches.
    pub dropout: f64,
    /// How fresh weights are drawn.
    pub init: InitScheme,
    /// Standard deviation for [`InitScheme::Gpt2`] and for embeddings.
    pub initializer_range: f64,
    /// Token that opens a text, if any.
    pub bos_token_id: Option<u32>,
    /// Token that ends a text, if any; sampling stops at it.
    pub eos_token_id: Option<u32>,
}

impl Default for ModelConfig {
    /// A small GPT-2.
    fn default() -> Self {
        Self::gpt2(256, 32, 64, 2, 2)
    }
}

impl ModelConfig {
    /// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, fused QKV, biases, GELU, tied head.
    pub fn gpt2(vocab: usize, context: usize, width: usize, layers: usize, heads: usize) -> Self {
        Self {
            vocab_size: vocab,
            hidden_size: width,
            intermediate_size: width.saturating_mul(4),
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: width.checked_div(heads).unwrap_or(0),
            max_position_embeddings: context,
            position_embedding: PositionEmbedding::Learned,
            rope_theta: 10_000.0,
            rope_scaling: None,
            norm: NormKind::LayerNorm,
            norm_eps: 1e-5,
            norm_bias: true,
            hidden_act: HiddenAct::Gelu,
            fused_qkv: true,
            attention_bias: true,
            mlp_bias: true,
            tie_word_embeddings: true,
            qk_norm: false,
            attn_logit_softcapping: None,
            final_logit_softcapping: None,
            sliding_window: None,
            dropout: 0.0,
            init: InitScheme::Gpt2,
            initializer_range: 0.02,
            bos_token_id: None,
            eos_token_id: None,
        }
    }

    /// LLaMA (Touvron et al. 2023): RoPE, RMSNorm, split QKV, SwiGLU, no biases, own head.
    pub fn llama(
        vocab: usize,
        context: usize,
        width: usize,
        layers: usize,
        heads: usize,
        kv_heads: usize,
        intermediate: usize,
    ) -> Self {
        Self {
            intermediate_size: intermediate,
            num_key_value_heads: kv_heads,
            position_embedding: PositionEmbedding::Rope,
            norm: NormKind::RmsNorm,
            norm_eps: 1e-6,
            norm_bias: false,
            hidden_act: HiddenAct::Swiglu,
            fused_qkv: false,
            attention_bias: false,
            mlp_bias: false,
            tie_word_embeddings: false,
            ..Self::gpt2(vocab, context, width, layers, heads)
        }
    }

    /// Width of all query heads together.
    pub fn q_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Whether the norms carry a bias.
    pub fn has_norm_bias(&self) -> bool {
        self.norm == NormKind::LayerNorm && self.norm_bias
    }

    /// Refuses what cannot be built, naming the setting and the remedy.
    pub fn validate(&self) -> Result<()> {
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            require(
                (1..=1 << 30).contains(&value),
                key,
                format!("{value} is not a usable size"),
                "set it between 1 and 2^30",
            )?;
        }
        require(
            self.num_attention_heads.is_multiple_of(self.num_key_value_heads),
            "num_key_value_heads",
            format!(
                "{} query heads cannot share {} key-value heads evenly",
                self.num_attention_heads, self.num_key_value_heads
            ),
            "use a divisor of num_attention_heads",
        )?;
        // A workgroup's memory has to hold a few heads' keys; no published model is near it.
        require(
            self.head_dim <= 512,
            "head_dim",
            format!("{} numbers per head", self.head_dim),
            "use at most 512: more heads, or a narrower model",
        )?;
        let rope = self.position_embedding == PositionEmbedding::Rope;
        require(
            !rope || self.head_dim.is_multiple_of(2),
            "head_dim",
            format!("rope rotates pairs, but head_dim is {}", self.head_dim),
            "use an even head_dim",
        )?;
        let sinusoidal = self.position_embedding == PositionEmbedding::Sinusoidal;
        require(
            !sinusoidal || self.hidden_size.is_multiple_of(2),
            "hidden_size",
            format!("sinusoidal positions come in pairs, but hidden_size is {}", self.hidden_size),
            "use an even hidden_size",
        )?;
        // Positions that are computed cost no weights, so no file would vouch for their number.
        let width = match self.position_embedding {
            PositionEmbedding::Rope => self.head_dim,
            PositionEmbedding::Sinusoidal => self.hidden_size,
            PositionEmbedding::Learned | PositionEmbedding::None => 1,
        };
        require(
            self.max_position_embeddings as u64 * width as u64 <= 1 << 28,
            "max_position_embeddings",
            format!("a table of {} positions, {width} wide", self.max_position_embeddings),
            "use fewer: at most 2^28 numbers",
        )?;
        require(
            self.rope_theta.is_finite() && self.rope_theta > 1.0,
            "rope_theta",
            format!("{} is not above 1", self.rope_theta),
            "use 10000 unless you know better",
        )?;
        require(
            self.norm_eps.is_finite() && self.norm_eps > 0.0 && self.norm_eps < 1.0,
            "norm_eps",
            format!("{} is not between 0 and 1", self.norm_eps),
            "use 1e-5",
        )?;
        require(
            (0.0..1.0).contains(&self.dropout),
            "dropout",
            format!("{} is not a probability below 1", self.dropout),
            "use 0.0 to 0.5",
        )?;
        require(
            self.initializer_range.is_finite() && self.initializer_range > 0.0,
            "initializer_range",
            format!("{} is not above 0", self.initializer_range),
            "use 0.02",
        )?;
        let caps = [
            ("attn_logit_softcapping", self.attn_logit_softcapping),
            ("final_logit_softcapping", self.final_logit_softcapping),
        ];
        for (key, cap) in caps.into_iter().filter_map(|(key, cap)| Some((key, cap?))) {
            require(
                cap.is_finite() && cap > 0.0,
                key,
                format!("{cap} is not above 0"),
                "use 30, or leave it out",
            )?;
        }
        if let Some(window) = self.sliding_window {
            require(
                (1..=1 << 30).contains(&window),
                "sliding_window",
                format!("{window} is not a usable number of keys"),
                "set it between 1 and 2^30, or leave it out",
            )?;
        }
        if let Some(scaling) = self.rope_scaling {
            let ordered = scaling.high_freq_factor > scaling.low_freq_factor;
            require(
                scaling.factor >= 1.0 && (ordered || scaling.rope_type == RopeType::Linear),
                "rope_scaling",
                format!("{scaling:?} is not a stretching"),
                "use a factor of at least 1 and high_freq_factor above low_freq_factor",
            )?;
        }
        for (key, id) in [("bos_token_id", self.bos_token_id), ("eos_token_id", self.eos_token_id)]
        {
            require(
                id.is_none_or(|id| (id as usize) < self.vocab_size),
                key,
                format!("{id:?} is outside the vocabulary of {}", self.vocab_size),
                "use an id below vocab_size, or leave it out",
            )?;
        }
        Ok(())
    }
}
