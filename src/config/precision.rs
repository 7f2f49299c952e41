//! The type of the numbers that a training step computes with.

use serde::{Deserialize, Serialize};

/// The type of the numbers that a training step computes with.
///
/// Weights, moments and the sums inside kernels are f32 in all of them (Micikevicius et al. 2018): each step
/// begins with rounded copies of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits; every device has it.
    F32,
    /// 16 bits, 10 of them after the point, and a small range: the loss is scaled up for the backward pass by as
    /// much as fits, and a step whose gradients overflow is skipped.
    F16,
    /// 16 bits, 7 of them after the point, and the range of f32. CUDA has it, WebGPU does not.
    Bf16,
}

impl Precision {
    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}
