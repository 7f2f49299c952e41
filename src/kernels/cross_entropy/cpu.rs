//! Cross entropy on the CPU.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{CrossEntropyKernels, CrossEntropyOps, Inputs, Options};
use crate::kernels::cpu::tensor::{Floats, build, ids, slice};
use crate::kernels::cpu::{exp, max, rows_per_task, sum, tanh, vectorized};
use crate::kernels::span::span;

/// Computes `losses [n]` of `logits [n, v]` at `targets [n]`: `scale · (−log softmax(target) + z_loss · lse²)`, multiplied
/// by `weights [n]` if given, and 0 where the target is negative. Overwrites the logits, with `want_grad` by the gradient
/// of the summed losses.
fn rows(
    logits: &mut [f32],
    targets: &[i32],
    weights: Option<&[f32]>,
    losses: &mut [f32],
    options: Options,
    want_grad: bool,
) {
    if logits.is_empty() {
        return;
    }
    let v = logits.len() / losses.len();
    let task = rows_per_task(losses.len(), 20 * v);
    let tasks = (logits.par_chunks_mut(task * v), targets.par_chunks(task)).into_par_iter();
    let tasks = tasks.zip(losses.par_chunks_mut(task)).enumerate();
    tasks.for_each(|(number, ((logits, targets), losses))| {
        let weights = weights.map(|weights| &weights[number * task..]);
        rows_task(logits, targets, weights, losses, options, want_grad)
    });
}

vectorized! {
    fn rows_task(
        logits: &mut [f32],
        targets: &[i32],
        weights: Option<&[f32]>,
        losses: &mut [f32],
        options: Options,
        want_grad: bool,
    ) {
        let v = logits.len() / losses.len();
        let rows = logits.chunks_exact_mut(v).zip(targets).zip(losses);
        for (place, ((row, &target), loss)) in rows.enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[place]);
            let options = Options { scale: options.scale * weight, ..options };
            *loss = match usize::try_from(target) {
                Ok(target) => one_row(row, target, options, want_grad),
                Err(_) => {
                    row.fill(0.0);
                    0.0
                }
            };
        }
    }
}

#[inline(always)]
fn one_row(logits: &mut [f32], target: usize, options: Options, want_grad: bool) -> f32 {
    let Options { scale, z_loss, soft_cap } = options;
    if let Some(cap) = soft_cap {
        for logit in &mut *logits {
            *logit = cap * tanh(*logit / cap);
        }
    }
    let top = max(logits);
    let total = sum(logits, |x| exp(x - top));
    let lse = top + total.ln();
    let loss = scale * (lse - logits[target] + z_loss * lse * lse);
    if want_grad {
        let slope = |x: f32| soft_cap.map_or(1.0, |cap| 1.0 - (x / cap) * (x / cap));
        let at_target = scale * slope(logits[target]);
        // Every logit moves the log-normalizer, which the loss contains once and once squared.
        let weight = scale * (1.0 + 2.0 * z_loss * lse) / total;
        for logit in &mut *logits {
            *logit = weight * exp(*logit - top) * slope(*logit);
        }
        logits[target] -= at_target;
    }
    loss
}

impl CrossEntropyOps for Flex {
    fn head_loss(
        x: FlexTensor,
        weight: FlexTensor,
        targets: FlexTensor,
        options: Options,
    ) -> FlexTensor {
        super::sum(Inputs::<Self> { x, weight, targets, options }, [false; 2]).0
    }

    fn head_losses(
        x: FlexTensor,
        weight: FlexTensor,
        targets: FlexTensor,
        options: Options,
    ) -> FlexTensor {
        super::rows(Inputs::<Self> { x, weight, targets, options }, None, [false; 2]).0
    }
}

impl CrossEntropyKernels for Flex {
    fn cross_entropy_rows(
        mut logits: FlexTensor,
        targets: FlexTensor,
        weights: Option<FlexTensor>,
        options: Options,
        want_grad: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("cross-entropy");
        let n = logits.shape()[0];
        let weights = weights.map(Floats::of);
        // The last reference to the logits, so that they are overwritten and not copied.
        logits = logits.to_contiguous();
        let losses = build([n], |losses| {
            let logits = logits.storage_mut();
            let weights = slice(&weights);
            rows(logits, ids(&targets), weights, losses, options, want_grad);
        });
        (losses, want_grad.then_some(logits))
    }
}
