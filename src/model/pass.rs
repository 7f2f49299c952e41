//! State of one forward pass, shared by its blocks.

use std::ops::Range;

use burn::tensor::{FloatDType, Tensor};

use super::division::Division;
use super::ids::Documents;
use super::layers::Linear;
use super::{Component, KvCache, Probe};
use crate::kernels::attention::WeightDropout;
use crate::kernels::dropout::{Dropout, dropout};
use crate::kernels::rotary::{Heads, Table};
use crate::parallel::of_ranks;

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
    /// The ranks that divide the layers, if some do.
    pub division: Option<Division>,
}

/// Dropout and dtype of a forward pass.
#[derive(Clone, Copy)]
pub struct Mode {
    pub dropout: Option<Dropout>,
    /// Dtype of the residual stream and of all activations.
    pub dtype: FloatDType,
}

impl Mode {
    /// No dropout, f32.
    pub const INFERENCE: Self = Self { dropout: None, dtype: FloatDType::F32 };
}

/// Place of a dropout in a block.
#[derive(Clone, Copy)]
pub enum Site {
    Weights,
    Attention,
    Mlp,
}

impl Pass<'_> {
    /// Returns the dropout of one place. Each place has its own seed.
    pub fn dropout(&self, layer: usize, site: Site) -> Option<Dropout> {
        self.mode.dropout.map(|Dropout { probability, seed }| {
            let place = (layer * 3 + site as usize) as u32;
            Dropout { probability, seed: seed.wrapping_add(place.wrapping_mul(0x85EB_CA6B)) }
        })
    }

    fn division(&self) -> Option<&Division> {
        of_ranks(&self.division)
    }

    /// Returns the dropout of the weights of a layer's attention with `heads` query heads.
    pub fn weight_dropout(&self, layer: usize, heads: usize) -> Option<WeightDropout> {
        let division = self.division().map(|division| division.heads(heads));
        self.dropout(layer, Site::Weights).map(|dropout| WeightDropout { dropout, division })
    }

    /// Returns `x`, which the ranks that divide the layers, if some do, compute with from here on.
    pub fn enter<const N: usize>(&self, x: Tensor<N>) -> Tensor<N> {
        match self.division() {
            Some(division) => division.enter(x),
            None => x,
        }
    }

    /// Computes `residual + dropout(x W^T + b)`, the end of both halves of a block.
    pub fn add_to_residual(
        &self,
        proj: &Linear,
        x: Tensor<2>,
        residual: Tensor<2>,
        layer: usize,
        site: Site,
    ) -> Tensor<2> {
        match (self.dropout(layer, site), self.division()) {
            (Some(dropped), None) => dropout(proj.forward(x), Some(residual), dropped),
            (None, None) => proj.forward_onto(x, residual),
            (Some(dropped), Some(ranks)) => {
                dropout(proj.forward_across(x, ranks), Some(residual), dropped)
            }
            (None, Some(ranks)) => proj.forward_across(x, ranks) + residual,
        }
    }

    /// Passes the residual stream `[B T, C]` to a method `see` of the probe, if there is one.
    pub fn show(&mut self, residual: &Tensor<2>, see: impl FnOnce(&mut dyn Probe, &Tensor<3>)) {
        if let Some(probe) = &mut self.probe {
            let width = residual.dims()[1];
            see(*probe, &residual.clone().reshape([self.batch, self.tokens, width]));
        }
    }

    /// Offers a block's attention weights `[B, H, T, S]` to the probe, if there is one. `weights` computes them, given the
    /// KV cache.
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

    /// Returns the components that the probe ablates.
    fn ablated(&self) -> &[Component] {
        self.probe.as_ref().map_or(&[], |probe| probe.ablated())
    }

    /// Returns true if the probe ablates the MLP of a block.
    pub fn ablates_mlp(&self, layer: usize) -> bool {
        self.ablated().contains(&Component::Mlp { layer })
    }

    /// Replaces the outputs of ablated heads in `x [B T, H D]` by zeros.
    pub fn without_ablated_heads(&self, x: Tensor<2>, layer: usize, heads: Heads) -> Tensor<2> {
        self.with_zeros(x, |component| match component {
            Component::Head { layer: of, head } if of == layer => {
                Some(head * heads.dim..(head + 1) * heads.dim)
            }
            _ => None,
        })
    }

    /// Replaces ablated neurons in `x [B T, F]` by zeros.
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
