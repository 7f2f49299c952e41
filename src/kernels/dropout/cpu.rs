//! Dropout on the CPU.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{Dropout, DropoutOps};
use crate::kernels::cpu::tensor::{Floats, build, slice};
use crate::kernels::cpu::{rows_per_task, vectorized};
use crate::kernels::dispatch::Optional;
use crate::kernels::span::span;

/// The factors of the elements: 0 for those that are dropped, else [`Dropout::scale`].
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
    /// Returns the factor of element `i`; see [`factor`](super::reference::factor).
    #[inline(always)]
    pub fn factor(self, i: u32) -> f32 {
        if hash(self.seed, i) >= self.threshold { self.scale } else { 0.0 }
    }
}

/// `lowbias32` (Wellons 2018).
#[inline(always)]
fn hash(seed: u32, i: u32) -> u32 {
    let x = i ^ seed.wrapping_mul(0x9E37_79B9);
    let x = (x ^ (x >> 16)).wrapping_mul(0x21F0_AAAD);
    let x = (x ^ (x >> 15)).wrapping_mul(0x735A_2D97);
    x ^ (x >> 15)
}

/// Computes `out = x · mask + residual` element by element; for a gradient without `residual`, the backward pass.
fn apply(x: &[f32], residual: Option<&[f32]>, out: &mut [f32], dropout: Dropout) {
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

impl DropoutOps for Flex {
    fn drop_out(x: FlexTensor, residual: Optional<Self>, dropout: Dropout) -> FlexTensor {
        let _span = span("dropout");
        let shape = x.shape();
        let x = Floats::of(x);
        let residual = residual.into_option().map(Floats::of);
        build(shape, |out| apply(x.get(), slice(&residual), out, dropout))
    }
}
