//! The choices of an architecture: positions, normalization, activation, initialization.

use serde::{Deserialize, Serialize};

use super::declare::choices;
use super::setting::{Kind, SettingType, Shape};

choices! {
    /// How the position of a token enters the model.
    pub enum PositionEmbedding {
        /// A trained vector per position, added to the token's (GPT-2's `wpe`).
        Learned = "learned", "learned (GPT-2)";
        /// Rotation of query and key halves (Su et al. 2021), as in Hugging Face's Llama.
        Rope = "rope", "rotary (LLaMA)";
        /// Fixed sines and cosines, added to the token's vector (Vaswani et al. 2017).
        Sinusoidal = "sinusoidal", "sinusoidal";
        /// Nothing: the causal mask alone orders the tokens (Kazemnejad et al. 2023).
        None = "none", "none";
    }
}

choices! {
    /// Normalization before each half of a block and before the head.
    pub enum NormKind {
        /// Subtracts the mean and divides by the standard deviation (Ba et al. 2016).
        LayerNorm = "layer_norm", "LayerNorm (GPT-2)";
        /// Divides by the root mean square (Zhang & Sennrich 2019).
        RmsNorm = "rms_norm", "RMSNorm (LLaMA)";
    }
}

choices! {
    /// Activation and form of the MLP.
    pub enum HiddenAct {
        /// Two matrices around GELU in its tanh form (GPT-2's `gelu_new`).
        Gelu = "gelu", "GELU (GPT-2)";
        /// Two matrices around the exact, erf form of GELU (Hugging Face's `gelu`).
        GeluErf = "gelu_erf", "GELU, exact";
        /// Three matrices, `down(silu(gate(x)) * up(x))` (Shazeer 2020), as in Llama.
        Swiglu = "swiglu", "SwiGLU (LLaMA)";
        /// Two matrices around `relu(x)^2` (So et al. 2021), as in nanochat.
        Relu2 = "relu2", "ReLU²";
    }
}

choices! {
    /// How weights are initialized.
    pub enum InitScheme {
        /// Normal with `initializer_range`; projections into the residual stream divided by
        /// `sqrt(2 * num_hidden_layers)` (Radford et al. 2019).
        Gpt2 = "gpt2", "GPT-2";
        /// Normal with standard deviation `1 / sqrt(fan_in)`; residual projections divided likewise.
        FanIn = "fan_in", "by fan-in";
    }
}

choices! {
    /// How RoPE's frequencies are scaled for sequences longer than those a model was first trained on.
    pub enum RopeType {
        /// Every frequency divided by `factor` (Chen et al. 2023).
        Linear = "linear", "linear";
        /// Low frequencies divided, high ones kept, the ones between blended (Llama 3.1).
        Llama3 = "llama3", "Llama 3";
    }
}

/// Parameters of [`RopeType`], under Hugging Face's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RopeScaling {
    /// Rule of scaling.
    pub rope_type: RopeType,
    /// Scaling factor, at least 1.
    pub factor: f64,
    /// Llama 3: wavelengths above `original / low_freq_factor` are scaled in full.
    pub low_freq_factor: f64,
    /// Llama 3: wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Llama 3: context length of the first training.
    pub original_max_position_embeddings: usize,
}

impl SettingType for RopeScaling {
    const SHAPE: Shape = Shape::of(Kind::Object);
}
