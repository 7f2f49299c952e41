//! The small parts: projection, normalization, embedding lookup, dropout.

use burn::module::{Module, Param};
use burn::tensor::{Distribution, Int, Tensor, module::layer_norm};

use super::params::{Builder, Init};
use crate::config::{ModelConfig, NormKind};
use crate::error::Result;

/// `y = x W^T + b` with PyTorch's layout of `W`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    weight: Param<Tensor<2>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
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
        Ok(Self { weight, bias })
    }

    /// `[N, in] -> [N, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.val().transpose());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<2>(),
            None => y,
        }
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

    /// Same shape out as in.
    pub fn forward<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        let weight = self.weight.val();
        if self.rms {
            let mean_square = (x.clone() * x.clone()).mean_dim(N - 1);
            let scale = mean_square.add_scalar(self.eps).sqrt().recip();
            x * scale * weight.unsqueeze::<N>()
        } else {
            layer_norm(x, weight, self.bias.as_ref().map(|bias| bias.val()), self.eps)
        }
    }
}

/// Rows of `table [V, C]` for `ids [B, T]`: `[B, T, C]`.
pub fn embed(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let [batch, tokens] = ids.dims();
    let width = table.dims()[1];
    table.select(0, ids.reshape([batch * tokens])).reshape([batch, tokens, width])
}

/// Zeroes each element with `probability`, scaling the others up (Srivastava et al. 2014).
///
/// The mask comes from the device's generator, which the trainer seeds anew at every step: the draw is a
/// function of seed and step, so a resumed run repeats it.
pub fn dropout<const N: usize>(x: Tensor<N>, probability: f64) -> Tensor<N> {
    if probability == 0.0 {
        return x;
    }
    let keep = 1.0 - probability;
    let mask = Tensor::<N>::random(x.shape(), Distribution::Bernoulli(keep), &x.device());
    x * mask.div_scalar(keep)
}
