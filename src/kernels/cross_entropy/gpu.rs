//! Cross-entropy over rows of logits in CubeCL.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Options;
use crate::kernels::gpu::{
    Fold, count_from, elem, empty, empty_of, fold, lane, row, spread_rows, vector_size,
};

/// Losses `[N]` in f32 of `logits [N, V]` and i32 `targets [N]`, times f32 `weights [N]` if there are any, and, if
/// wanted, the gradient of their sum by the logits, which takes their place where nobody else holds them.
pub fn rows(
    logits: CubeTensor,
    targets: CubeTensor,
    weights: Option<CubeTensor>,
    options: Options,
    want_grad: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let logits = into_contiguous(logits);
    let (rows, vocab) = (logits.meta.shape()[0], logits.meta.shape()[1]);
    let losses = empty_of(DType::F32, [rows], &logits);
    let (client, dtype) = (logits.client.clone(), elem(&logits));
    let in_place = logits.can_mut();
    let grad =
        want_grad.then(|| if in_place { logits.clone() } else { empty([rows, vocab], &logits) });
    let grad_arg = grad.clone().map(|grad| {
        if in_place {
            BufferArg::alias(0, grad.meta.num_elements())
        } else {
            grad.into_buffer_arg()
        }
    });
    let vector = vector_size(vocab);
    let (count, dim, lanes) = spread_rows(&client, rows, vocab / vector);
    // SAFETY: the kernel stays within its rows.
    unsafe {
        rows_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            logits.into_buffer_arg(),
            into_contiguous(targets).into_buffer_arg(),
            weights.map(|weights| into_contiguous(weights).into_buffer_arg()).into(),
            losses.clone().into_buffer_arg(),
            grad_arg.into(),
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
    width: usize,
    scale: f32,
    z_loss: f32,
    soft_cap: ComptimeOption<f32>,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= losses.len() {
        terminate!();
    }
    let (start, first) = (row * width, lane(lanes));

    let mut largest = Vector::<f32, N>::new(f32::MIN);
    for i in range_stepped(first, width, lanes) {
        largest = max(largest, Vector::cast_from(logits[start + i]));
    }
    // The cap keeps their order.
    let largest = Vector::new(fold::<N>(largest, Fold::Max, lanes));
    let largest = capped::<N>(largest, soft_cap);

    // Read before the last barrier, after which the gradient may overwrite it.
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
            // Beyond these bounds it is 1 in f32, and some drivers' `tanh` overflows.
            let bounded = clamp(logits / cap, Vector::new(-15.0f32), Vector::new(15.0f32));
            cap * bounded.tanh()
        }
        ComptimeOption::None => logits,
    }
}
