//! Pre-norm transformer block: attention and MLP, each after a norm, each added to the residual stream.

use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::Attention;
use super::layers::{Linear, Norm};
use super::params::ParamBuilder;
use super::{Pass, Site};
use crate::HAS_OWN_PRODUCTS;
use crate::config::{HiddenAct, ModelConfig};
use crate::error::Result;
use crate::kernels::activation::{Kind, activation};

/// Pre-norm block (Radford et al. 2019).
#[derive(Module, Debug)]
pub struct Block {
    pub(super) input_layernorm: Norm,
    pub(super) self_attn: Attention,
    post_attention_layernorm: Norm,
    pub(super) mlp: Mlp,
}

/// The feed-forward network.
#[derive(Module, Debug)]
pub struct Mlp {
    gate_proj: Option<Linear>,
    up_proj: Linear,
    pub(super) down_proj: Linear,
    #[module(skip)]
    act: HiddenAct,
}

impl Block {
    pub fn new(c: &ModelConfig, layer: usize, build: &mut ParamBuilder<'_, '_>) -> Result<Self> {
        let name = |part: &str| format!("layers.{layer}.{part}");
        Ok(Self {
            input_layernorm: Norm::new(c, &name("input_layernorm"), c.hidden_size, build)?,
            self_attn: Attention::new(c, &name("self_attn"), build)?,
            post_attention_layernorm: Norm::new(
                c,
                &name("post_attention_layernorm"),
                c.hidden_size,
                build,
            )?,
            mlp: Mlp::new(c, &name("mlp"), build)?,
        })
    }

    /// Returns the projections by path; the paths are those of [`ModelConfig::projections`].
    pub(super) fn projections_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Linear)> {
        let Mlp { gate_proj, up_proj, down_proj, .. } = &mut self.mlp;
        let gate_proj = gate_proj.as_mut().map(|gate| ("mlp.gate_proj", gate));
        let others = [("mlp.up_proj", up_proj), ("mlp.down_proj", down_proj)];
        self.self_attn.projections_mut().chain(gate_proj).chain(others)
    }

    /// Runs the block on the residual stream: `[B T, C] -> [B T, C]`.
    pub(super) fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass<'_>) -> Tensor<2> {
        let normed = pass.enter(self.input_layernorm.forward(x.clone()));
        let attended = self.self_attn.forward(normed, layer, pass);
        let x = pass.add_to_residual(&self.self_attn.o_proj, attended, x, layer, Site::Attention);
        pass.show(&x, |probe, x| probe.between(layer, x));
        let normed = pass.enter(self.post_attention_layernorm.forward(x.clone()));
        let inner = self.mlp.forward(normed);
        let inner = pass.without_ablated_neurons(inner, layer);
        pass.show(&inner, |probe, x| probe.neurons(layer, x));
        if pass.ablates_mlp(layer) {
            return x;
        }
        pass.add_to_residual(&self.mlp.down_proj, inner, x, layer, Site::Mlp)
    }
}

impl Mlp {
    fn new(c: &ModelConfig, name: &str, build: &mut ParamBuilder<'_, '_>) -> Result<Self> {
        let width = c.hidden_size;
        let inner = c.intermediate_size;
        let mut up = |part: &str| {
            let name = format!("{name}.{part}");
            Linear::new(&name, width, inner, c.mlp_bias, c.weight_init(width), build)
        };
        let gate_proj = match c.hidden_act {
            HiddenAct::Swiglu => Some(up("gate_proj")?),
            _ => None,
        };
        let up_proj = up("up_proj")?;
        let down_proj = Linear::new(
            &format!("{name}.down_proj"),
            inner,
            width,
            c.mlp_bias,
            c.residual_init(inner),
            build,
        )?;
        Ok(Self { gate_proj, up_proj, down_proj, act: c.hidden_act })
    }

    /// Computes the activated neurons, `[N, C] -> [N, F]`. The block applies `down_proj`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        if HAS_OWN_PRODUCTS && self.act == HiddenAct::Gelu {
            return self.up_proj.forward_gelu(x);
        }
        let gate = self.gate_proj.as_ref().map(|gate| gate.forward(x.clone()));
        let kind = match self.act {
            HiddenAct::Gelu => Kind::GeluTanh,
            HiddenAct::GeluErf => Kind::GeluErf,
            HiddenAct::Relu2 => Kind::Relu2,
            HiddenAct::Swiglu => Kind::Swiglu,
        };
        activation(self.up_proj.forward(x), gate, kind)
    }
}
