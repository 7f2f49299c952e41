//! Low-rank adaptation (LoRA, Hu et al. 2021): a projection's weight `W` stays as it is, and what is learnt stands beside
//! it as two narrow matrices, `W + (alpha / r) B A`.
//!
//! `B` begins as zero, so that a model with fresh adapters is the one without. Only training has them: [`Decoder::merged`]
//! adds them to the weights for everything else.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Decoder;
use super::layers::{Linear, as_precise_as};
use super::params::{Builder, Init, ParamSource};
use crate::config::TrainConfig;
use crate::error::Result;
use crate::kernels::linear::linear;

/// What is learnt beside one projection.
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
    /// An adapter of the projection `name`, whose weight is `[outputs, inputs]`.
    pub fn new(
        name: &str,
        [outputs, inputs]: [usize; 2],
        train: &TrainConfig,
        build: &mut Builder<'_, '_>,
    ) -> Result<Self> {
        // Kaiming's uniform initialization with a = sqrt(5), as PEFT and PyTorch's own linear layers have it.
        let bound = (1.0 / inputs as f64).sqrt();
        let rank = train.lora.rank;
        let a = build.param(&format!("{name}.lora.a"), [rank, inputs], Init::Uniform(bound))?;
        let b = build.param(&format!("{name}.lora.b"), [outputs, rank], Init::Zeros)?;
        Ok(Self { a, b, scale: train.lora.scale() })
    }

    /// `(alpha / r) x A^T B^T + residual`: `[N, in] -> [N, out]`
    pub fn forward_onto(&self, x: Tensor<2>, residual: Option<Tensor<2>>) -> Tensor<2> {
        let (a, b) = (as_precise_as(&x, self.a.val()), as_precise_as(&x, self.b.val()));
        let inner = linear(x, a, None, None).mul_scalar(self.scale); // N r
        linear(inner, b, None, residual)
    }

    /// `(alpha / r) B A`, what it adds to the weight: `[out, in]`
    pub fn product(&self) -> Tensor<2> {
        self.b.val().matmul(self.a.val()).mul_scalar(self.scale)
    }
}

impl Decoder {
    /// The model with its weights frozen and an adapter beside each projection that `train` names; where it says so, the
    /// embedding and the head are trained as well. `source` gives the adapters' values.
    ///
    /// # Errors
    /// A target that the model does not have, or whatever `source` says of an adapter.
    pub fn adapted(self, train: &TrainConfig, source: &mut ParamSource<'_>) -> Result<Self> {
        let wanted = train.lora.adapted(&self.config)?;
        let device = self.device();
        let mut build = Builder { device: &device, source };
        let mut model = self.no_grad();
        if train.lora.embeddings {
            model.embed_tokens = model.embed_tokens.set_require_grad(true);
            model.lm_head = model.lm_head.map(|head| head.set_require_grad(true));
        }
        for (layer, block) in model.layers.iter_mut().enumerate() {
            for (path, projection) in block.projections_mut() {
                if wanted.iter().any(|wanted| wanted.path == path) {
                    let name = format!("layers.{layer}.{path}");
                    projection.adapt(&name, train, &mut build)?;
                }
            }
        }
        Ok(model)
    }

    /// The model with its adapters added to the weights, if it has any. It must not be differentiated.
    pub fn merged(mut self) -> Self {
        let projections = self.layers.iter_mut().flat_map(|block| block.projections_mut());
        projections.for_each(|(_, projection)| Linear::merge(projection));
        self
    }
}
