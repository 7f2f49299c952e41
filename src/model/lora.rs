//! Low-rank adaptation (LoRA, Hu et al. 2021): a projection's weight `W` is frozen, and two narrow matrices are trained,
//! `W + (alpha / r) B A`.
//!
//! `B` is initialized to zero, so fresh adapters do not change the model. Adapters exist only in training;
//! [`Decoder::merge_adapters`](super::Decoder::merge_adapters) adds them to the weights for everything else.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::params::{Init, ParamBuilder, cast_like};
use crate::config::TrainConfig;
use crate::error::Result;
use crate::kernels::linear::{linear, product};

/// The adapter of one projection.
#[derive(Module, Debug)]
pub struct Lora {
    /// `[r, in]`
    a: Param<Tensor<2>>,
    /// `[out, r]`
    b: Param<Tensor<2>>,
    /// `alpha / r`
    scale: f64,
}

impl Lora {
    /// Creates an adapter for the projection `name` with a weight of shape `[outputs, inputs]`.
    pub fn new(
        name: &str,
        [outputs, inputs]: [usize; 2],
        train: &TrainConfig,
        build: &mut ParamBuilder<'_, '_>,
    ) -> Result<Self> {
        // Kaiming uniform initialization with a = sqrt(5), as in PEFT and PyTorch's `nn.Linear`.
        let bound = (1.0 / inputs as f64).sqrt();
        let rank = train.lora.rank;
        let a = build.param(&format!("{name}.lora.a"), [rank, inputs], Init::Uniform(bound))?;
        let b = build.param(&format!("{name}.lora.b"), [outputs, rank], Init::Zeros)?;
        Ok(Self { a, b, scale: train.lora.scale() })
    }

    /// Computes `(alpha / r) x A^T B^T + residual`: `[N, in] -> [N, out]`.
    pub fn forward_onto(&self, x: Tensor<2>, residual: Option<Tensor<2>>) -> Tensor<2> {
        let a = cast_like(&x, self.a.val());
        let b = cast_like(&x, self.b.val());
        let inner = linear(x, a, None, None).mul_scalar(self.scale); // N r
        linear(inner, b, None, residual)
    }

    /// Returns the update of the weight, `(alpha / r) B A`: `[out, in]`.
    pub fn product(&self) -> Tensor<2> {
        low_rank_product(self.a.val(), self.b.val(), self.scale)
    }
}

/// Returns the update of a weight by an adapter, `scale · B A`, of `a [r, in]` and `b [out, r]`.
pub fn low_rank_product(a: Tensor<2>, b: Tensor<2>, scale: f64) -> Tensor<2> {
    product(b, a).mul_scalar(scale)
}
