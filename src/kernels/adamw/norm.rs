//! The norm of gradients whose parts are on several ranks.
//!
//! The squares of each block of a gradient are added up on their own, so that ranks that own whole blocks can share the work
//! and the norm has the bits of [`Moments::clip`](super::Moments::clip) on the CPU.

use burn::backend::Flex;
use burn::tensor::Tensor;

use super::cpu;
use crate::kernels::dispatch::{Kind, kind, unwrap, wrap};

/// Returns the sums of squares of the blocks of `part`, `[blocks]`: in f64 on the CPU, in f32 on a GPU. A block has `block`
/// numbers, the last one the rest.
pub fn partial_squares(part: Tensor<1>, block: usize) -> Tensor<1> {
    match kind(&part) {
        Kind::Cpu => wrap::<Flex, 1>(cpu::partial_squares(unwrap::<Flex, 1>(part), block)),
        Kind::Gpu => {
            let len = part.dims()[0];
            let blocks = len.div_ceil(block);
            let padded = Tensor::cat(
                vec![part.clone(), Tensor::zeros([blocks * block - len], &part.device())],
                0,
            );
            (padded.clone() * padded).reshape([blocks, block]).sum_dim(1).reshape([blocks])
        }
    }
}

/// Returns the norm `[1]` of gradients, of each of which `squares` has all results of [`partial_squares`].
pub fn norm_of(squares: Vec<Tensor<1>>) -> Tensor<1> {
    match kind(&squares[0]) {
        Kind::Cpu => {
            let squares = squares.into_iter().map(unwrap::<Flex, 1>).collect();
            wrap::<Flex, 1>(cpu::norm_of(squares))
        }
        Kind::Gpu => Tensor::cat(squares, 0).sum().sqrt(),
    }
}
