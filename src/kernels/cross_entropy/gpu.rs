//! Cross-entropy over rows of logits on GPUs.
//!
//! On a GPU, 32 to 256 units share a row and combine maximum and sum in as many floats of shared memory; on a software
//! adapter, a unit has a row of its own. A row is read twice (three times with gradient) from global memory: a
//! vocabulary of 50,000 logits does not fit in shared memory. The gradient overwrites the logits unless they are shared.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{CrossEntropyKernels, CrossEntropyOps, Inputs, Options};
use crate::kernels::gpu::{
    Fold, count_from, dims, elem, empty, empty_of, fold, input, lane, output, row, spread_rows,
    vector_size,
};

/// See [`CrossEntropyKernels::cross_entropy_rows`]; losses and `weights` are f32, `targets` i32.
fn rows(
    logits: CubeTensor,
    targets: CubeTensor,
    weights: Option<CubeTensor>,
    options: Options,
    want_grad: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let logits = into_contiguous(logits);
    let [rows, vocab] = dims(&logits);
    let losses = empty_of(DType::F32, [rows], &logits);
    let client = logits.client.clone();
    let dtype = elem(&logits);
    let in_place = logits.can_mut();
    let grad =
        want_grad.then(|| if in_place { logits.clone() } else { empty([rows, vocab], &logits) });
    let grad_arg = grad
        .as_ref()
        .map(|grad| if in_place { BufferArg::alias(0, rows * vocab) } else { output(grad) });
    let vector = vector_size(vocab);
    let (count, dim, lanes) = spread_rows(&logits, rows, vocab / vector);
    // SAFETY: the kernel stays within its rows.
    unsafe {
        rows_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(logits),
            input(targets),
            weights.map(input).into(),
            output(&losses),
            grad_arg.into(),
            rows,
            vocab / vector,
            options.scale,
            options.z_loss,
            options.soft_cap.into(),
            lanes,
            dtype,
        );
    }
    (losses, grad)
}

#[cube(launch_unchecked)]
fn rows_kernel<F: Float, N: Size>(
    logits: &[Vector<F, N>],
    targets: &[i32],
    weights: ComptimeOption<&[f32]>,
    losses: &mut [f32],
    grad: ComptimeOption<&mut [Vector<F, N>]>,
    rows: usize,
    width: usize,
    scale: f32,
    z_loss: f32,
    soft_cap: ComptimeOption<f32>,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let first = lane(lanes);

    let mut largest = Vector::<f32, N>::new(f32::MIN);
    for i in range_stepped(first, width, lanes) {
        largest = max(largest, Vector::cast_from(logits[start + i]));
    }
    // The soft cap is monotonic.
    let largest = Vector::new(fold::<N>(largest, Fold::Max, lanes));
    let largest = capped::<N>(largest, soft_cap);

    // Read before the last barrier: after it, the gradient may overwrite it.
    let target = targets[row];
    let counts = target >= 0;
    let place = max(target, 0) as usize;
    let aim = capped::<N>(Vector::cast_from(logits[start + place / N::value()]), soft_cap);

    let mut sum = Vector::<f32, N>::zeroed();
    for i in range_stepped(first, width, lanes) {
        let logits = capped::<N>(Vector::cast_from(logits[start + i]), soft_cap);
        sum += (logits - largest).exp();
    }
    let normalizer = largest.extract(0usize) + fold::<N>(sum, Fold::Sum, lanes).ln();

    let scale = {
        #[comptime]
        match weights {
            ComptimeOption::Some(weights) => scale * weights[row],
            ComptimeOption::None => scale,
        }
    };
    let weight = select(counts, scale, 0.0);
    if first == 0 {
        let surprise = normalizer - aim.extract_dynamic(place % N::value());
        losses[row] = weight * (surprise + z_loss * normalizer * normalizer);
    }
    #[comptime]
    if let ComptimeOption::Some(grad) = grad {
        let share = Vector::<f32, N>::new(weight * (1.0 + 2.0 * z_loss * normalizer));
        let weight = Vector::<f32, N>::new(weight);
        let normalizer = Vector::<f32, N>::new(normalizer);
        for i in range_stepped(first, width, lanes) {
            let logits = capped::<N>(Vector::cast_from(logits[start + i]), soft_cap);
            let places = count_from::<N>((i * N::value()) as u32);
            let hit = places.equal(&Vector::new(target as u32));
            let expected = select_many(hit, weight, Vector::zeroed());
            let mut slope = share * (logits - normalizer).exp() - expected;
            #[comptime]
            if let ComptimeOption::Some(cap) = soft_cap {
                let part = logits / Vector::new(cap);
                slope -= slope * part * part;
            }
            grad[start + i] = Vector::cast_from(slope);
        }
    }
}

/// `cap * tanh(logits / cap)`.
#[cube]
fn capped<N: Size>(logits: Vector<f32, N>, soft_cap: ComptimeOption<f32>) -> Vector<f32, N> {
    #[comptime]
    match soft_cap {
        ComptimeOption::Some(cap) => {
            let cap = Vector::<f32, N>::new(cap);
            // Beyond these bounds tanh is ±1 in f32, and that of some drivers overflows.
            let bounded = clamp(logits / cap, Vector::new(-15.0f32), Vector::new(15.0f32));
            cap * bounded.tanh()
        }
        ComptimeOption::None => logits,
    }
}

impl CrossEntropyOps for CubeBackend {
    fn head_loss(
        x: CubeTensor,
        weight: CubeTensor,
        targets: CubeTensor,
        options: Options,
    ) -> CubeTensor {
        super::sum(Inputs::<Self> { x, weight, targets, options }, [false; 2]).0
    }

    fn head_losses(
        x: CubeTensor,
        weight: CubeTensor,
        targets: CubeTensor,
        options: Options,
    ) -> CubeTensor {
        super::rows(Inputs::<Self> { x, weight, targets, options }, None, [false; 2]).0
    }
}

impl CrossEntropyKernels for CubeBackend {
    fn cross_entropy_rows(
        logits: CubeTensor,
        targets: CubeTensor,
        weights: Option<CubeTensor>,
        options: Options,
        want_grad: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        rows(logits, targets, weights, options, want_grad)
    }
}
