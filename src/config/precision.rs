//! Number format of a training step.

use super::declare::choices;

choices! {
    /// Number format of the forward and backward pass.
    ///
    /// Weights, optimizer state and the sums inside kernels are f32 in all of them (Micikevicius et al. 2018): each step
    /// begins with rounded copies of the weights.
    pub enum Precision {
        /// 32 bits. Every device supports it.
        F32 = "f32", "32 bits";
        /// f32 whose matrix products round their factors to 10 bits of mantissa, for the tensor cores of CUDA GPUs since
        /// compute capability 8.0. PyTorch's `allow_tf32`.
        Tf32 = "tf32", "32 bits, products in TF32";
        /// 16 bits with 10 bits of mantissa and a small range. The loss is scaled up for the backward pass as far as its
        /// gradients fit, and a step whose gradients overflow is skipped.
        F16 = "f16", "16 bits";
        /// 16 bits with 7 bits of mantissa and the range of f32. CUDA supports it, WebGPU does not.
        Bf16 = "bf16", "16 bits (bfloat16)";
    }
}

impl Precision {
    /// Returns the size of a number in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}
