//! What one forward pass carries from block to block.

use std::ops::Range;

use burn::tensor::{FloatDType, Tensor};

use super::ids::Documents;
use super::layers::Linear;
use super::{Component, KvCache, Probe};
use crate::kernels::dropout::{Dropout, dropout};
use crate::kernels::rotary::{Heads, Table};

/// One forward pass over `[B, T]` tokens.
pub struct Pass<'a> {
    pub batch: usize,
    pub tokens: usize,
    /// Position of the first token.
    pub start: usize,
    pub rope: Option<Table>,
    pub documents: Option<Documents>,
    pub mode: Mode,
    pub cache: Option<&'a mut KvCache>,
    pub probe: Option<&'a mut dyn Probe>,
}

/// How a pass computes.
#[derive(Clone, Copy)]
pub struct Mode {
    pub dropout: Option<Dropout>,
    /// Of the residual stream and of all that is made from it.
    pub dtype: FloatDType,
}

impl Mode {
    /// Nothing is dropped, nothing rounded.
    pub const INFERENCE: Self = Self { dropout: None, dtype: FloatDType::F32 };
}

/// Where in a block something is dropped.
#[derive(Clone, Copy)]
pub enum Site {
    Weights,
    Attention,
    Mlp,
}

impl Pass<'_> {
    /// The dropout of one place: every place has a seed of its own.
    pub fn dropout(&self, layer: usize, site: Site) -> Option<Dropout> {
        self.mode.dropout.map(|Dropout { probability, seed }| {
            let place = (layer * 3 + site as usize) as u32;
            Dropout { probability, seed: seed.wrapping_add(place.wrapping_mul(0x85EB_CA6B)) }
        })
    }

    /// `stream + dropout(x W^T + b)`, what both halves of a block end with.
    pub fn add_to_stream(
        &self,
        proj: &Linear,
        x: Tensor<2>,
        stream: Tensor<2>,
        layer: usize,
        site: Site,
    ) -> Tensor<2> {
        match self.dropout(layer, site) {
            Some(dropped) => dropout(proj.forward(x), Some(stream), dropped),
            None => proj.forward_onto(x, stream),
        }
    }

    /// Shows the probe the residual stream `[B T, C]`; `see` is one of its methods.
    pub fn show(&mut self, stream: &Tensor<2>, see: impl FnOnce(&mut dyn Probe, &Tensor<3>)) {
        if let Some(probe) = &mut self.probe {
            let width = stream.dims()[1];
            see(*probe, &stream.clone().reshape([self.batch, self.tokens, width]));
        }
    }

    /// Offers the probe the attention weights `[B, H, T, S]` of a block, which are made with the cache, if there is one.
    pub fn offer_attention(
        &mut self,
        layer: usize,
        weights: impl Fn(Option<&KvCache>) -> Tensor<4>,
    ) {
        if let Some(probe) = &mut self.probe {
            let cache = self.cache.as_deref();
            probe.attention(layer, &|| weights(cache));
        }
    }

    /// What the probe leaves out.
    fn ablated(&self) -> &[Component] {
        self.probe.as_ref().map_or(&[], |probe| probe.ablated())
    }

    /// Whether the probe leaves out all that the MLP of a block adds.
    pub fn ablates_mlp(&self, layer: usize) -> bool {
        self.ablated().contains(&Component::Mlp { layer })
    }

    /// What the heads of a block gathered, `[B T, H D]`, with zeros for those that are left out.
    pub fn without_ablated_heads(&self, x: Tensor<2>, layer: usize, heads: Heads) -> Tensor<2> {
        self.with_zeros(x, |component| match component {
            Component::Head { layer: of, head } if of == layer => {
                Some(head * heads.dim..(head + 1) * heads.dim)
            }
            _ => None,
        })
    }

    /// The neurons of a block, `[B T, F]`, with zeros for those that are left out.
    pub fn without_ablated_neurons(&self, x: Tensor<2>, layer: usize) -> Tensor<2> {
        self.with_zeros(x, |component| match component {
            Component::Neuron { layer: of, neuron } if of == layer => Some(neuron..neuron + 1),
            _ => None,
        })
    }

    fn with_zeros(
        &self,
        x: Tensor<2>,
        columns: impl Fn(Component) -> Option<Range<usize>>,
    ) -> Tensor<2> {
        let rows = self.batch * self.tokens;
        let ablated = self.ablated().iter().filter_map(|component| columns(*component));
        ablated.fold(x, |x, columns| x.slice_fill([0..rows, columns], 0.0))
    }
}
