//! Dropout on the CPU: the mask is computed from the seed wherever it is needed, never stored.

use rayon::prelude::*;

use super::Dropout;
use crate::kernels::cpu::{rows_per_task, vectorized};

/// The factors of the elements: 0 where dropped, else what keeps the mean.
#[derive(Clone, Copy)]
pub struct Mask {
    seed: u32,
    threshold: u32,
    scale: f32,
}

impl From<Dropout> for Mask {
    fn from(dropout: Dropout) -> Self {
        Self { seed: dropout.seed, threshold: dropout.threshold(), scale: dropout.scale() }
    }
}

impl Mask {
    /// The factor of element `i`.
    #[inline(always)]
    pub fn factor(self, i: u32) -> f32 {
        if hash(self.seed, i) >= self.threshold { self.scale } else { 0.0 }
    }
}

/// Uniform over all integers.
#[inline(always)]
fn hash(seed: u32, i: u32) -> u32 {
    let x = i ^ seed.wrapping_mul(0x9E37_79B9);
    let x = (x ^ (x >> 16)).wrapping_mul(0x21F0_AAAD);
    let x = (x ^ (x >> 15)).wrapping_mul(0x735A_2D97);
    x ^ (x >> 15)
}

/// `out = x · mask + residual`, element by element. Of a gradient, without `residual`, the backward.
pub fn apply(x: &[f32], residual: Option<&[f32]>, out: &mut [f32], dropout: Dropout) {
    let mask = Mask::from(dropout);
    let task = rows_per_task(x.len(), 2);
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task)).enumerate();
    tasks.for_each(|(i, (out, x))| {
        let start = i * task;
        let residual = residual.map(|residual| &residual[start..start + x.len()]);
        apply_task(x, residual, out, mask, start as u32);
    });
}

vectorized! {
    fn apply_task(x: &[f32], residual: Option<&[f32]>, out: &mut [f32], mask: Mask, start: u32) {
        match residual {
            Some(residual) => {
                for (i, ((out, &x), &r)) in out.iter_mut().zip(x).zip(residual).enumerate() {
                    *out = x * mask.factor(start.wrapping_add(i as u32)) + r;
                }
            }
            None => {
                for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
                    *out = x * mask.factor(start.wrapping_add(i as u32));
                }
            }
        }
    }
}
