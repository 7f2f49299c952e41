//! Cross entropy on the CPU.

use rayon::prelude::*;

use super::Options;
use crate::kernels::cpu::{exp, max, rows_per_task, sum, tanh, vectorized};

/// `losses [n]` of `logits [n, v]` at `targets [n]`: `scale · (−log softmax(target) + z_loss · lse²)`, or 0
/// where the target is negative, times the row's `weights [n]` if there are any. Overwrites the logits: with
/// their gradient, that of the sum of the losses, if that is wanted.
pub fn rows(
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
        // Every logit moves the lse, which the loss contains once by itself and once squared.
        let weight = scale * (1.0 + 2.0 * z_loss * lse) / total;
        for logit in &mut *logits {
            *logit = weight * exp(*logit - top) * slope(*logit);
        }
        logits[target] -= at_target;
    }
    loss
}
