//! The architecture, under Hugging Face's names.

use super::EndTokens;
use super::architecture::{
    HiddenAct, InitScheme, NormKind, PositionEmbedding, RopeScaling, RopeType,
};
use super::declare::settings;
use super::range::{Range, SIZE};
use super::setting::{Settings, require, when};
use crate::error::Result;

settings! {
    /// The architecture: everything that changes the function the model computes. The default is a small GPT-2.
    pub struct ModelConfig ("Model") {
        /// Number of token ids. It follows from the tokenizer.
        vocab_size: usize = 256 => { range: SIZE, usual: "the size of the tokenizer" },
        /// Number of transformer blocks, one after the other.
        num_hidden_layers: usize = 2 => {
            label: "Layers",
            flag: "layers",
            range: SIZE,
            basic: true,
            usual: "2 to 6 in a browser tab, 12 in GPT-2",
            formula: "parameters ≈ 12 · layers · width²",
            source: "Kaplan et al. 2020",
        },
        /// Size of the vector that represents each token inside the model. The cost grows with its square.
        hidden_size: usize = 64 => {
            label: "Width",
            range: SIZE,
            step: Some(8.0),
            basic: true,
            usual: "64 to 384 in a browser tab, 768 in GPT-2",
            formula: "parameters ≈ 12 · layers · width²",
            source: "Kaplan et al. 2020",
        },
        /// Number of attention heads: how many places each block can attend to at the same time.
        num_attention_heads: usize = 2 => {
            label: "Heads",
            flag: "heads",
            range: SIZE,
            basic: true,
            usual: "a divisor of the width that leaves 16 to 64 per head",
            formula: "width = heads · head width",
            source: "Vaswani et al. 2017",
        },
        /// Longest sequence that the model can process. At least `seq_len`.
        max_position_embeddings: usize = 32 => {
            label: "Context length",
            unit: "tokens",
            range: SIZE,
            default_rule: "`seq_len`",
            usual: "the same as `seq_len`",
            formula: "KV cache = 2 · layers · width · context",
            source: "Radford et al. 2019 (GPT-2: 1,024)",
        },
        /// Width of the hidden layer of each block's MLP.
        intermediate_size: usize = 256 => {
            label: "MLP width",
            range: SIZE,
            default_rule: "4 times `hidden_size`, or 8/3 times with swiglu",
            usual: "4 times the width, or 8/3 times with SwiGLU",
            formula: "W₂ · f(W₁ x)",
            source: "Vaswani et al. 2017; Shazeer 2020",
        },
        /// Number of key and value heads, a divisor of `num_attention_heads`. Fewer save memory: query heads share them
        /// (grouped-query attention).
        num_key_value_heads: usize = 2 => {
            label: "Key-value heads",
            flag: "kv-heads",
            range: SIZE,
            default_rule: "`num_attention_heads`",
            formula: "KV cache = 2 · layers · key-value heads · head width · context",
            source: "Ainslie et al. 2023",
        },
        /// Size of each head's queries, keys and values.
        head_dim: usize = 32 => {
            label: "Head width",
            // A workgroup's memory has to hold a few heads' keys; no published model is near it.
            range: Range::at_least(1.0).at_most(512.0),
            default_rule: "`hidden_size` divided by `num_attention_heads`",
            usual: "32 to 128",
            formula: "width ∕ heads",
            source: "Vaswani et al. 2017",
        },
        /// How the model knows the order of the tokens.
        position_embedding: PositionEmbedding = PositionEmbedding::Learned => {
            label: "Position embedding",
            usual: "rotary in recent models",
            formula: "rotary: R(m) q · R(n) k = q · R(n − m) k",
            source: "Su et al. 2021; learned: Radford et al. 2018",
        },
        /// Base of the rotary frequencies. Larger values suit longer contexts.
        rope_theta: f64 = 10_000.0 => {
            label: "RoPE base",
            range: Range::above(1.0),
            applies_if: when("position_embedding", "rope"),
            usual: "10000",
            formula: "angle of pair i at position t: t · base^(−2i ∕ head width)",
            source: "Su et al. 2021",
        },
        /// Scaling of the rotary frequencies for sequences longer than those of the first training, with Hugging Face's keys
        /// rope_type, factor, low_freq_factor, high_freq_factor and original_max_position_embeddings.
        rope_scaling: Option<RopeScaling> = None => {
            label: "RoPE scaling",
            applies_if: when("position_embedding", "rope"),
            source: "Chen et al. 2023; Llama 3.1",
        },
        /// Normalization before each half of a block, which keeps the scale of activations even, so that deep models train.
        norm: NormKind = NormKind::LayerNorm => {
            label: "Normalization",
            formula: "w ⊙ (x − mean) ∕ σ + b, or w ⊙ x ∕ rms(x)",
            source: "Ba et al. 2016; Zhang & Sennrich 2019",
        },
        /// Added inside the normalization's square root for numerical stability.
        norm_eps: f64 = 1e-5 => {
            label: "Normalization ε",
            range: Range::above(0.0).below(1.0),
            usual: "1e-5 or 1e-6",
            formula: "x ∕ √(mean(x²) + ε)",
            source: "Ba et al. 2016",
        },
        /// Adds a bias in LayerNorm.
        norm_bias: bool = true => {
            label: "Normalization bias",
            applies_if: when("norm", "layer_norm"),
            usual: "on, as in GPT-2",
            formula: "w ⊙ x̂ + b",
            source: "Ba et al. 2016",
        },
        /// Activation function of the MLP. SwiGLU uses three matrices instead of two.
        hidden_act: HiddenAct = HiddenAct::Gelu => {
            label: "Activation",
            formula: "GELU: x · Φ(x); SwiGLU: silu(x W₁) ⊙ x W₂; ReLU²: max(0, x)²",
            source: "Hendrycks & Gimpel 2016; Shazeer 2020; So et al. 2021",
        },
        /// Uses one matrix for query, key and value, as GPT-2's files do. It does not change the result.
        fused_qkv: bool = true => {
            label: "Fused QKV",
            formula: "[Q K V] = x W",
            source: "Radford et al. 2019",
        },
        /// Adds biases in the projections of attention.
        attention_bias: bool = true => {
            label: "Attention bias",
            usual: "on in GPT-2, off in LLaMA",
            formula: "x W + b",
            source: "Radford et al. 2019",
        },
        /// Adds biases in the MLP.
        mlp_bias: bool = true => {
            label: "MLP bias",
            usual: "on in GPT-2, off in LLaMA",
            formula: "x W + b",
            source: "Radford et al. 2019",
        },
        /// Uses the token embedding as the output head as well, which saves parameters.
        tie_word_embeddings: bool = true => {
            label: "Tied embeddings",
            usual: "on in GPT-2, off in large LLaMA models",
            formula: "logits = h · Eᵀ",
            source: "Press & Wolf 2017",
        },
        /// Normalizes each head's queries and keys, which makes high learning rates safer.
        qk_norm: bool = false => {
            label: "QK norm",
            formula: "norm(q) · norm(k) ∕ √D",
            source: "Dehghani et al. 2023",
        },
        /// Caps attention scores smoothly at this value.
        attn_logit_softcapping: Option<f64> = None => {
            label: "Attention soft cap",
            range: Range::above(0.0),
            usual: "off, or 50 as in Gemma 2",
            formula: "c · tanh(s ∕ c)",
            source: "Gemma Team 2024",
        },
        /// Caps the output logits smoothly at this value.
        final_logit_softcapping: Option<f64> = None => {
            label: "Logit soft cap",
            range: Range::above(0.0),
            usual: "off, or 30 as in Gemma 2",
            formula: "c · tanh(z ∕ c)",
            source: "Gemma Team 2024",
        },
        /// Number of most recent tokens, itself included, that each token attends to.
        sliding_window: Option<usize> = None => {
            label: "Sliding window",
            unit: "tokens",
            range: SIZE,
            usual: "off, or 4096 as in Mistral",
            formula: "token t sees t − window + 1 … t",
            source: "Beltagy et al. 2020; Jiang et al. 2023",
        },
        /// Probability with which activations are set to zero in training, against overfitting: of embeddings, attention
        /// weights and both residual branches. Preference pairs are trained without.
        dropout: f64 = 0.0 => {
            label: "Dropout",
            range: Range::at_least(0.0).below(1.0),
            step: Some(0.05),
            usual: "0 for short runs, 0.1 to 0.2 for many passes over a small text",
            formula: "x · mask ∕ (1 − p)",
            source: "Srivastava et al. 2014",
        },
        /// How weights are initialized: with one standard deviation for all matrices, or by the size of each.
        init: InitScheme = InitScheme::Gpt2 => {
            label: "Initialization",
            formula: "σ, or 1 ∕ √inputs; into the residual stream ∕ √(2 · layers)",
            source: "Radford et al. 2019",
        },
        /// Standard deviation of initial weights and embeddings.
        initializer_range: f64 = 0.02 => {
            label: "Init std",
            range: Range::above(0.0),
            usual: "0.02, as in GPT-2",
            formula: "weights ~ N(0, σ²)",
            source: "Radford et al. 2019",
        },
        /// Token that begins a text, if any. It follows from the tokenizer.
        bos_token_id: Option<u32> = None,
        /// Tokens that end a text, if any. Sampling stops at each. They follow from the tokenizer.
        eos_token_id: EndTokens = EndTokens::default(),
    }
}

impl ModelConfig {
    /// Returns the width of all query heads together.
    pub fn q_size(&self) -> usize {
        self.num_attention_heads.saturating_mul(self.head_dim)
    }

    /// Returns the width of all key (or value) heads together.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads.saturating_mul(self.head_dim)
    }

    /// Whether the norms carry a bias.
    pub fn has_norm_bias(&self) -> bool {
        self.norm == NormKind::LayerNorm && self.norm_bias
    }

    /// Returns whether `ranks` ranks can divide the layers among them (tensor parallelism): they have as many key-value heads each,
    /// and all have neurons and tokens.
    pub fn is_divisible_among(&self, ranks: usize) -> bool {
        let fewest = self.intermediate_size.min(self.vocab_size);
        ranks == 1 || (self.num_key_value_heads.is_multiple_of(ranks) && fewest >= ranks)
    }

    /// Refuses an architecture that cannot be built.
    ///
    /// # Errors
    /// The first setting that is out of range or contradicts another.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()?;
        require(
            self.num_attention_heads.is_multiple_of(self.num_key_value_heads),
            "num_key_value_heads",
            format!(
                "{} query heads cannot share {} key-value heads evenly",
                self.num_attention_heads, self.num_key_value_heads
            ),
            "use a divisor of `num_attention_heads`",
        )?;
        require(
            SIZE.contains(self.q_size() as f64),
            "num_attention_heads",
            format!(
                "{} heads, {} wide, are out of range together",
                self.num_attention_heads, self.head_dim
            ),
            "use fewer: at most 2^30 numbers",
        )?;
        let rope = self.position_embedding == PositionEmbedding::Rope;
        require(
            !rope || self.head_dim.is_multiple_of(2),
            "head_dim",
            format!("rope rotates pairs, but {} is odd", self.head_dim),
            "use an even number",
        )?;
        let sinusoidal = self.position_embedding == PositionEmbedding::Sinusoidal;
        require(
            !sinusoidal || self.hidden_size.is_multiple_of(2),
            "hidden_size",
            format!("sinusoidal positions come in pairs, but {} is odd", self.hidden_size),
            "use an even number",
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
            format!(
                "a table of {} positions, {width} wide, is too large",
                self.max_position_embeddings
            ),
            "use fewer: at most 2^28 numbers",
        )?;
        if let Some(scaling) = self.rope_scaling {
            let ordered = scaling.high_freq_factor > scaling.low_freq_factor;
            require(
                scaling.factor >= 1.0 && (ordered || scaling.rope_type == RopeType::Linear),
                "rope_scaling",
                format!("{scaling:?} cannot scale frequencies"),
                "use a factor of at least 1 and a high_freq_factor above the low_freq_factor",
            )?;
        }
        let begin = self.bos_token_id.map(|id| ("bos_token_id", id));
        let ends = self.eos_token_id.ids().iter().map(|id| ("eos_token_id", *id));
        for (key, id) in begin.into_iter().chain(ends) {
            require(
                (id as usize) < self.vocab_size,
                key,
                format!("{id} is outside the vocabulary of {}", self.vocab_size),
                "use an id below vocab_size, or leave it out",
            )?;
        }
        Ok(())
    }
}
