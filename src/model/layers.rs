//! Linear projection, normalization and soft cap.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::tanh};

use super::division::Division;
use super::lora::Lora;
use super::params::{Init, ParamBuilder, cast_like};
use crate::config::{ModelConfig, NormKind, TrainConfig};
use crate::error::Result;
use crate::kernels::activation::{Kind, activation};
use crate::kernels::linear::{linear, linear_gelu};
use crate::kernels::norm::norm;

/// Linear projection `y = x W^T + b` with `W` in PyTorch's layout, optionally with a LoRA adapter.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    weight: Param<Tensor<2>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
    lora: Option<Lora>,
}

impl Linear {
    /// Creates a projection from `inputs` to `outputs` features.
    pub fn new(
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
        init: Init,
        build: &mut ParamBuilder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [outputs, inputs], init)?;
        let bias = if bias {
            Some(build.param(&format!("{name}.bias"), [outputs], Init::Zeros)?)
        } else {
            None
        };
        Ok(Self { weight, bias, lora: None })
    }

    /// Applies the projection: `[N, in] -> [N, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.apply(x, None)
    }

    /// Applies the projection, then GELU in its tanh form: `[N, in] -> [N, out]`.
    pub fn forward_gelu(&self, x: Tensor<2>) -> Tensor<2> {
        if self.lora.is_some() {
            return activation(self.forward(x), None, Kind::GeluTanh);
        }
        let (weight, bias) = self.parameters_like(&x);
        linear_gelu(x, weight, bias)
    }

    /// Applies the projection and adds `residual [N, out]`.
    pub fn forward_onto(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        self.apply(x, Some(residual))
    }

    /// Applies the weight of this rank to its part of `x`, and adds the bias, which every rank has, to the sum of all ranks.
    pub fn forward_across(&self, x: Tensor<2>, ranks: &Division) -> Tensor<2> {
        let weight = cast_like(&x, self.weight.val());
        let sum = ranks.leave(linear(x, weight, None, None));
        match &self.bias {
            Some(bias) => sum.clone() + cast_like(&sum, bias.val()).unsqueeze(),
            None => sum,
        }
    }

    fn apply(&self, x: Tensor<2>, residual: Option<Tensor<2>>) -> Tensor<2> {
        let (weight, bias) = self.parameters_like(&x);
        let residual = match &self.lora {
            Some(lora) => Some(lora.forward_onto(x.clone(), residual)),
            None => residual,
        };
        linear(x, weight, bias, residual)
    }

    /// Returns weight and bias in the type of `x`.
    fn parameters_like(&self, x: &Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let bias = self.bias.as_ref().map(|bias| cast_like(x, bias.val()));
        (cast_like(x, self.weight.val()), bias)
    }

    /// Adds a fresh adapter.
    pub fn adapt(
        &mut self,
        name: &str,
        train: &TrainConfig,
        build: &mut ParamBuilder<'_, '_>,
    ) -> Result<()> {
        self.lora = Some(Lora::new(name, self.weight.dims(), train, build)?);
        Ok(())
    }

    /// Adds the adapter, if there is one, to the weight and removes it.
    pub fn merge(&mut self) {
        if let Some(lora) = self.lora.take() {
            self.weight = self.weight.clone().map(|weight| weight + lora.product());
        }
    }

    /// Returns the weight, `[out, in]`, without the adapter.
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
    /// Creates a norm of the configured kind.
    pub fn new(
        c: &ModelConfig,
        name: &str,
        width: usize,
        build: &mut ParamBuilder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [width], Init::Ones)?;
        let bias = if c.has_norm_bias() {
            Some(build.param(&format!("{name}.bias"), [width], Init::Zeros)?)
        } else {
            None
        };
        Ok(Self { weight, bias, eps: c.norm_eps, rms: c.norm == NormKind::RmsNorm })
    }

    /// Creates an RMSNorm whatever the configured kind, for `qk_norm`.
    pub fn rms(
        c: &ModelConfig,
        name: &str,
        width: usize,
        build: &mut ParamBuilder<'_, '_>,
    ) -> Result<Self> {
        let weight = build.param(&format!("{name}.weight"), [width], Init::Ones)?;
        Ok(Self { weight, bias: None, eps: c.norm_eps, rms: true })
    }

    /// Returns the number of features.
    pub fn width(&self) -> usize {
        self.weight.shape()[0]
    }

    /// Applies the linear part of the norm, centering and weight, to one summand of its input: `[N, width] -> [N, width]`.
    /// The division depends on the whole input and the bias belongs to no summand, so both are left out.
    pub fn forward_part(&self, x: Tensor<2>) -> Tensor<2> {
        let centered = if self.rms { x } else { x.clone() - x.mean_dim(1) };
        centered * self.weight.val().unsqueeze()
    }

    /// Returns the weight, `[width]`.
    pub fn weight(&self) -> Tensor<1> {
        self.weight.val()
    }

    /// Normalizes each row: `[N, width] -> [N, width]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_with(self.weight(), x)
    }

    /// [`Self::forward`] with `weight [width]` in the place of the norm's own.
    pub fn forward_with(&self, weight: Tensor<1>, x: Tensor<2>) -> Tensor<2> {
        let weight = cast_like(&x, weight);
        let bias = self.bias.as_ref().map(|bias| cast_like(&x, bias.val()));
        norm(x, weight, bias, self.eps, self.rms)
    }
}

/// Computes `cap * tanh(x / cap)`, or returns `x` if there is no cap.
pub fn soft_cap<const N: usize>(x: Tensor<N>, cap: Option<f64>) -> Tensor<N> {
    match cap {
        Some(cap) => tanh(x.div_scalar(cap)).mul_scalar(cap),
        None => x,
    }
}
