//! AdamW on the CPU.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::layout::LOSS_SCALE;
use super::{AdamwKernels, CALM, Step, Update};
use crate::kernels::cpu::tensor::{Floats, build};
use crate::kernels::cpu::{rows_per_block, rows_per_task, vectorized};
use crate::kernels::span::span;

/// Updates the weights `w` and the moments `m` and `v` by the gradient `clip · g`.
fn update(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], clip: f32, step: &Step) {
    let task = rows_per_task(w.len(), 4);
    let moments = m.par_chunks_mut(task).zip(v.par_chunks_mut(task));
    let tasks = w.par_chunks_mut(task).zip(g.par_chunks(task)).zip(moments);
    tasks.for_each(|((w, g), (m, v))| update_task(w, g, m, v, clip, *step));
}

vectorized! {
    fn update_task(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], clip: f32, step: Step) {
        let kept = 1.0 - step.lr * step.weight_decay;
        let rate = step.lr / step.correction1;
        let root = 1.0 / step.correction2.sqrt();
        for ((w, &g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
            let g = g * clip;
            *m = step.beta1 * *m + (1.0 - step.beta1) * g;
            *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
            *w = *w * kept - rate * *m / (v.sqrt() * root + step.eps);
        }
    }
}

/// Returns the norm of gradients of this `length`, without their loss scale if they are `scaled`. Writes to the head of
/// `state` the clip factor, as `torch.nn.utils.clip_grad_norm_` computes it, and the next loss scale.
fn clip(state: &mut [f32], length: f32, max_norm: Option<f32>, scaled: bool) -> f32 {
    let factor = |norm: f32| max_norm.map_or(1.0, |max| (max / (norm + 1e-6)).min(1.0));
    if !scaled {
        state[0] = factor(length);
        return length;
    }
    let scale = state[LOSS_SCALE];
    let calm = state[LOSS_SCALE + 1] + 1.0;
    let norm = length / scale;
    let head = if !norm.is_finite() {
        [-1.0, 0.5 * scale, 0.0]
    } else if calm >= CALM as f32 {
        [factor(norm) / scale, 2.0 * scale, 0.0]
    } else {
        [factor(norm) / scale, scale, calm]
    };
    state[..head.len()].copy_from_slice(&head);
    norm
}

/// Returns the length of a block of a gradient of `len` numbers, whose squares are added up on their own.
pub fn norm_block(len: usize) -> usize {
    rows_per_block(len, 1)
}

/// Returns the sum of squares.
fn sum_squares(g: &[f32]) -> f64 {
    squares_of_blocks(g, norm_block(g.len())).iter().sum()
}

/// Returns the sum of squares of each block of `block` numbers.
fn squares_of_blocks(g: &[f32], block: usize) -> Vec<f64> {
    let mut partial = vec![0.0; g.len().div_ceil(block)];
    partial.par_iter_mut().zip(g.par_chunks(block)).for_each(|(sum, g)| sum_squares_block(g, sum));
    partial
}

/// See [`super::partial_squares`].
pub fn partial_squares(part: FlexTensor, block: usize) -> FlexTensor {
    let squares = squares_of_blocks(Floats::of(part).get(), block);
    let shape = [squares.len()];
    FlexTensor::from_data(TensorData::new(squares, shape))
}

/// See [`super::norm_of`].
pub fn norm_of(squares: Vec<FlexTensor>) -> FlexTensor {
    let sum = |squares: &FlexTensor| squares.to_contiguous().storage::<f64>().iter().sum::<f64>();
    let norm = squares.iter().map(sum).sum::<f64>().sqrt() as f32;
    build([1], |out| out[0] = norm)
}

vectorized! {
    fn sum_squares_block(g: &[f32], sum: &mut f64) {
        // Several sums, so that additions overlap.
        let mut lanes = [0.0; 16];
        let (chunks, rest) = g.as_chunks::<16>();
        for chunk in chunks {
            for (lane, &g) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(g) * f64::from(g);
            }
        }
        for (lane, &g) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(g) * f64::from(g);
        }
        *sum = lanes.iter().sum();
    }
}

impl AdamwKernels for Flex {
    fn largest(_: &FlexTensor) -> usize {
        usize::MAX
    }

    fn clip(
        grads: &[FlexTensor],
        mut state: Vec<FlexTensor>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (FlexTensor, Vec<FlexTensor>) {
        let _span = span("gradient norm");
        let squares = |grad: &FlexTensor| sum_squares(Floats::of(grad.clone()).get());
        let length = grads.iter().map(squares).sum::<f64>().sqrt() as f32;
        let mut norm = length;
        for state in &mut state {
            norm = clip(state.storage_mut(), length, max_norm, scaled);
        }
        (build([1], |out| out[0] = norm), state)
    }

    fn update(
        mut params: Vec<FlexTensor>,
        grads: Vec<FlexTensor>,
        mut state: Vec<FlexTensor>,
        Update { layout, decays, step }: Update<'_>,
    ) -> (Vec<FlexTensor>, Vec<FlexTensor>) {
        let _span = span("AdamW");
        for (i, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
            let (slot, size) = layout.slot(i);
            let (first, second) = state[slot.buffer].storage_mut::<f32>().split_at_mut(slot.second);
            let factor = first[0];
            if factor < 0.0 {
                continue;
            }
            let first = &mut first[slot.first..][..size];
            let second = &mut second[..size];
            let step = if decays[i] { step } else { Step { weight_decay: 0.0, ..step } };
            *param = param.to_contiguous();
            let weights = param.storage_mut();
            let grad = Floats::of(grad);
            update(weights, grad.get(), first, second, factor, &step);
        }
        (params, state)
    }
}
