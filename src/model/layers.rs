//! The small parts: projection and normalization.

use burn::module::{Module, Param};
use burn::tensor::{FloatDType, Tensor};

use super::lora::Lora;
use super::params::{Builder, Init};
use crate::config::{ModelConfig, NormKind, TrainConfig};
use crate::error::Result;
use crate::kernels::{linear::linear, norm::norm};

/// `y = x W^T + b` with PyTorch's layout of `W`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    weight: Param<Tensor<2>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
    lora: Option<Lora>,
}

impl Linear {
    /// A projection from `inputs` to `outputs` numbers.
    pub fn new(
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
        init: Init,
        build: &mut Builder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [outputs, inputs], init)?;
        let bias = match bias {
            true => Some(build.param(&format!("{name}.bias"), [outputs], Init::Zeros)?),
            false => None,
        };
        Ok(Self { weight, bias, lora: None })
    }

    /// `[N, in] -> [N, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.apply(x, None)
    }

    /// [`Self::forward`] with `residual [N, out]` added.
    pub fn forward_onto(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        self.apply(x, Some(residual))
    }

    fn apply(&self, x: Tensor<2>, residual: Option<Tensor<2>>) -> Tensor<2> {
        let weight = as_precise_as(&x, self.weight.val());
        let bias = self.bias.as_ref().map(|bias| as_precise_as(&x, bias.val()));
        let residual = match &self.lora {
            Some(lora) => Some(lora.forward_onto(x.clone(), residual)),
            None => residual,
        };
        linear(x, weight, bias, residual)
    }

    /// Puts a fresh adapter beside the weight.
    pub fn adapt(
        &mut self,
        name: &str,
        train: &TrainConfig,
        build: &mut Builder<'_, '_>,
    ) -> Result<()> {
        self.lora = Some(Lora::new(name, self.weight.dims(), train, build)?);
        Ok(())
    }

    /// Adds the adapter, if there is one, to the weight.
    pub fn merge(&mut self) {
        if let Some(lora) = self.lora.take() {
            self.weight = self.weight.clone().map(|weight| weight + lora.product());
        }
    }

    /// `[out, in]`
    pub fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }
}

/// LayerNorm or RMSNorm over the last dimension.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[width]`
    weight: Param<Tensor<1>>,
    /// `[width]`
    bias: Option<Param<Tensor<1>>>,
    eps: f64,
    rms: bool,
}

impl Norm {
    /// The block's normalization, as the configuration says.
    pub fn new(
        c: &ModelConfig,
        name: &str,
        width: usize,
        build: &mut Builder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [width], Init::Ones)?;
        let bias = match c.has_norm_bias() {
            true => Some(build.param(&format!("{name}.bias"), [width], Init::Zeros)?),
            false => None,
        };
        Ok(Self { weight, bias, eps: c.norm_eps, rms: c.norm == NormKind::RmsNorm })
    }

    /// RMSNorm without regard to the configuration's kind: for `qk_norm`.
    pub fn rms(
        c: &ModelConfig,
        name: &str,
        width: usize,
        build: &mut Builder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [width], Init::Ones)?;
        Ok(Self { weight, bias: None, eps: c.norm_eps, rms: true })
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.weight.shape()[0]
    }

    /// What it does to a part of what it normalizes, but for the division, which depends on the whole, and the
    /// bias, which belongs to no part: `[N, width] -> [N, width]`.
    pub fn forward_part(&self, x: Tensor<2>) -> Tensor<2> {
        let centered = if self.rms { x } else { x.clone() - x.mean_dim(1) };
        centered * self.weight.val().unsqueeze()
    }

    /// Normalizes each row: `[N, width] -> [N, width]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = as_precise_as(&x, self.weight.val());
        let bias = self.bias.as_ref().map(|bias| as_precise_as(&x, bias.val()));
        norm(x, weight, bias, self.eps, self.rms)
    }
}

/// A parameter in the type of what it meets: the one that the pass computes in.
pub fn as_precise_as<const N: usize>(x: &Tensor<2>, parameter: Tensor<N>) -> Tensor<N> {
    match x.dtype() == parameter.dtype() {
        true => parameter,
        false => parameter.cast(FloatDType::from(x.dtype())),
    }
}
