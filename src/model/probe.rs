//! Hooks into a forward pass.

use burn::tensor::Tensor;

/// Observes a forward pass and can ablate components of it. Methods that are not overridden cost nothing.
pub trait Probe {
    /// Receives the residual stream `[B, T, C]` before block `layer`; after the last block, `layer` is the number of
    /// blocks.
    fn hidden(&mut self, _layer: usize, _residual: &Tensor<3>) {}

    /// Receives the residual stream `[B, T, C]` between attention and MLP of block `layer`.
    fn between(&mut self, _layer: usize, _residual: &Tensor<3>) {}

    /// Receives a function that computes the attention weights `[B, H, T, S]` of block `layer`, which sum to 1 over the
    /// keys. The attention kernels never materialize them.
    fn attention(&mut self, _layer: usize, _weights: &dyn Fn() -> Tensor<4>) {}

    /// Receives the activated neurons `[B, T, F]` of the MLP of block `layer`, the input of `down_proj`.
    fn neurons(&mut self, _layer: usize, _neurons: &Tensor<3>) {}

    /// Returns the components whose output is replaced by zeros.
    fn ablated(&self) -> &[Component] {
        &[]
    }
}

/// A component that writes into the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A query head: its columns of the output projection's input. The projection's bias belongs to no head.
    Head {
        /// Index of the block, from 0.
        layer: usize,
        /// Index of the head, from 0.
        head: usize,
    },
    /// The whole MLP.
    Mlp {
        /// Index of the block, from 0.
        layer: usize,
    },
    /// One neuron of the MLP.
    Neuron {
        /// Index of the block, from 0.
        layer: usize,
        /// Index of the neuron, from 0.
        neuron: usize,
    },
}
