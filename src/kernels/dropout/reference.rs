//! The reference in burn's own operations.

use burn::tensor::{Tensor, TensorData};

use super::Dropout;

/// [`dropout`](fn@super::dropout) without a residual, with a mask computed on the host.
pub fn dropout<const N: usize>(x: Tensor<N>, dropout: Dropout) -> Tensor<N> {
    let shape = x.shape();
    let count = shape.num_elements() as u32;
    let factors: Vec<f32> = (0..count).map(|i| factor(i, dropout)).collect();
    let mask = Tensor::from_data(TensorData::new(factors, shape), &x.device());
    x * mask
}

/// Factor of element `i`: zero, or `Dropout::scale`. The hash is `lowbias32` (Wellons 2018).
pub fn factor(i: u32, dropout: Dropout) -> f32 {
    let mut x = i ^ dropout.seed.wrapping_mul(0x9E37_79B9);
    x ^= x >> 16;
    x = x.wrapping_mul(0x21F0_AAAD);
    x ^= x >> 15;
    x = x.wrapping_mul(0x735A_2D97);
    x ^= x >> 15;
    if x >= dropout.threshold() { dropout.scale() } else { 0.0 }
}
