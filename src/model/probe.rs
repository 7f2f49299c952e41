//! Looking into a forward pass while it happens.

use burn::tensor::Tensor;

/// Something that looks at a forward pass, and may leave parts of it out. What it does not care for costs
/// nothing.
pub trait Probe {
    /// The residual stream `[B, T, C]` that enters block `layer`; after the last block, `layer` is the
    /// number of blocks.
    fn hidden(&mut self, _layer: usize, _stream: &Tensor<3>) {}

    /// The residual stream `[B, T, C]` between the halves of block `layer`: with what attention adds,
    /// without what the MLP will.
    fn between(&mut self, _layer: usize, _stream: &Tensor<3>) {}

    /// Block `layer` attends. `weights` computes the attention weights `[B, H, T, S]`, which sum to one over
    /// the keys: the matrix that attention itself never holds.
    fn attention(&mut self, _layer: usize, _weights: &dyn Fn() -> Tensor<4>) {}

    /// The neurons `[B, T, F]` of the MLP of block `layer`: what its way down reads.
    fn neurons(&mut self, _layer: usize, _neurons: &Tensor<3>) {}

    /// The components whose output is replaced by zero.
    fn ablated(&self) -> &[Component] {
        &[]
    }
}

/// What writes into the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A query head: its columns of what enters the output projection. That projection's bias belongs to
    /// no head.
    Head {
        /// The block, from 0.
        layer: usize,
        /// The head, from 0.
        head: usize,
    },
    /// All that the MLP adds.
    Mlp {
        /// The block, from 0.
        layer: usize,
    },
    /// One neuron of the MLP.
    Neuron {
        /// The block, from 0.
        layer: usize,
        /// The neuron, from 0.
        neuron: usize,
    },
}
