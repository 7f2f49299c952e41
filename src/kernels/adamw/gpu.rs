//! AdamW on GPUs: up to 16 parameters per launch, as far as the device's buffer bindings allow.
//!
//! All moments are in one buffer with the clip factor at its head (`layout.rs`), so an update binds two buffers per
//! parameter and one more, and the host reads nothing. The gradient norm is a tree: 512 rows of units (64 on a software
//! adapter) each sum a part of all gradients through shared memory, then one cube sums the rows and writes the factor.
//! The order of the sums is fixed.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::layout::LOSS_SCALE;
use super::{AdamwKernels, CALM, Update};
use crate::kernels::gpu::{
    Fold, elem, empty_of, fold, input, is_serial, lane, output, own, row, share, spread_rows,
    stride, vector_size,
};

/// Tensors per launch at most: a kernel's code grows with their number.
const MANY: usize = 16;

/// Returns the norm of all `grads` together, `[1]`. Writes to `state` the factor that reduces it to `max_norm` and, if
/// the gradients are `scaled`, the next loss scale.
fn clip(grads: &[CubeTensor], state: &[CubeTensor], max_norm: f32, scaled: bool) -> CubeTensor {
    let like = &grads[0];
    let client = &like.client;
    let buffers = client.properties().hardware.max_bindings as usize;
    let chunks = grads.chunks((buffers - 1).min(MANY));
    let parts = if is_serial(like) { 64 } else { 512 };
    let sums = parts * chunks.len();
    let partial = empty_of(DType::F32, [sums], like);
    for (i, chunk) in chunks.enumerate() {
        let vector = common_vector_size(chunk);
        let (count, dim, lanes) = spread_rows(like, parts, 128);
        // SAFETY: each row writes its own partial sum, and reads within the gradients.
        unsafe {
            squares_kernel::launch_unchecked(
                client,
                count,
                dim,
                vector,
                chunk.iter().cloned().map(input).collect(),
                output(&partial),
                lengths(chunk, vector),
                i * parts,
                parts,
                chunk.len(),
                lanes,
                elem(like),
            );
        }
    }
    let norm = empty_of(DType::F32, [1], like);
    for state in state.chunks(buffers - 2) {
        let (_, dim, lanes) = spread_rows(like, 1, 256);
        // SAFETY: the kernel reads within the partial sums, and every state has a head.
        unsafe {
            clip_kernel::launch_unchecked(
                client,
                CubeCount::new_single(),
                dim,
                input(partial.clone()),
                output(&norm),
                state.iter().map(output).collect(),
                sums,
                max_norm,
                state.len(),
                scaled,
                lanes,
            );
        }
    }
    norm
}

/// Updates `params` and `state`, which must not be shared, in place. `state` holds the factor that [`clip`] wrote for
/// these `grads`.
fn update(
    params: Vec<CubeTensor>,
    grads: Vec<CubeTensor>,
    state: &[CubeTensor],
    update: Update<'_>,
) -> Vec<CubeTensor> {
    let Update { layout, decays, step } = update;
    let slots = layout.slots();
    let client = params[0].client.clone();
    let most = ((client.properties().hardware.max_bindings as usize - 1) / 2).min(MANY);
    let mut begin = 0;
    while begin < params.len() {
        let buffer = slots[begin].buffer;
        let fits = slots[begin..].iter().take(most).take_while(|slot| slot.buffer == buffer);
        let range = begin..begin + fits.count();
        begin = range.end;
        let params = &params[range.clone()];
        let slots = &slots[range.clone()];
        let vector = common_vector_size(params);
        let largest = params.iter().map(|param| param.meta.num_elements()).max().unwrap_or(0);
        let (count, dim) = share(&params[0], largest / vector);
        let keep = |decays: &bool| if *decays { 1.0 - step.lr * step.weight_decay } else { 1.0 };
        // SAFETY: the kernel stays within each weight, whose gradient and moments are as long.
        unsafe {
            update_kernel::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                params.iter().map(output).collect(),
                grads[range.clone()].iter().cloned().map(input).collect(),
                output(&state[buffer]),
                lengths(params, vector),
                slots.iter().map(|slot| slot.first / vector).collect(),
                (slots[0].second - slots[0].first) / vector,
                decays[range].iter().map(keep).collect(),
                step.beta1,
                step.beta2,
                step.lr / step.correction1,
                step.correction2.sqrt().recip(),
                step.eps,
                params.len(),
                elem(&params[0]),
            );
        }
    }
    params
}

/// Length of each tensor in vectors of `vector` numbers.
fn lengths(tensors: &[CubeTensor], vector: usize) -> SequenceArg<usize> {
    tensors.iter().map(|tensor| tensor.meta.num_elements() / vector).collect()
}

/// Numbers that a unit can read at a time from each of the tensors.
fn common_vector_size(tensors: &[CubeTensor]) -> usize {
    let sizes = tensors.iter().map(|tensor| vector_size(tensor.meta.num_elements()));
    sizes.min().unwrap_or(1)
}

/// Writes the sums of squares of `tensors` gradients at `offset` of `partial`: row `r` sums every `rows`-th vector.
#[cube(launch_unchecked)]
fn squares_kernel<F: Float, N: Size>(
    grads: &Sequence<Box<[Vector<F, N>]>>,
    partial: &mut [f32],
    lengths: &Sequence<usize>,
    offset: usize,
    rows: usize,
    #[comptime] tensors: usize,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let mut sum = Vector::<f32, N>::zeroed();
    #[unroll]
    for tensor in 0..tensors {
        let grad = grads.index(tensor);
        let length = *lengths.index(tensor);
        for i in range_stepped(row * lanes + lane(lanes), length, rows * lanes) {
            let value = Vector::<f32, N>::cast_from(grad[i]);
            sum += value * value;
        }
    }
    let sum = fold::<N>(sum, Fold::Sum, lanes);
    if lane(lanes) == 0 {
        partial[offset + row] = sum;
    }
}

/// Computes the norm from the partial sums of squares, and the clip factor as PyTorch's `clip_grad_norm_` does.
#[cube(launch_unchecked)]
fn clip_kernel(
    partial: &[f32],
    norm: &mut [f32],
    states: &mut Sequence<Box<[f32]>>,
    sums: usize,
    max_norm: f32,
    #[comptime] tensors: usize,
    #[comptime] scaled: bool,
    #[comptime] lanes: usize,
) {
    if row(lanes) > 0 {
        terminate!();
    }
    let mut sum = Vector::<f32, Const<1>>::zeroed();
    for i in range_stepped(lane(lanes), sums, lanes) {
        sum += Vector::new(partial[i]);
    }
    let length = fold::<Const<1>>(sum, Fold::Sum, lanes).sqrt();
    if lane(lanes) == 0 {
        #[unroll]
        for i in 0..tensors {
            let state = states.index_mut(i);
            if comptime!(scaled) {
                let scale = state[LOSS_SCALE];
                let length = length / scale;
                norm[0] = length;
                let fits = is_finite(length);
                let factor = min(max_norm / (length + 1e-6), 1.0) / scale;
                state[0] = select(fits, factor, -1.0);
                let calm = state[LOSS_SCALE + 1] + 1.0;
                let grows = calm >= comptime!(CALM as f32);
                let next = select(grows, 2.0 * scale, scale);
                state[LOSS_SCALE] = select(fits, next, 0.5 * scale);
                state[LOSS_SCALE + 1] = select(fits && !grows, calm, 0.0);
            } else {
                norm[0] = length;
                state[0] = min(max_norm / (length + 1e-6), 1.0);
            }
        }
    }
}

/// Tests the bits: shader compilers may assume that numbers are finite.
#[cube]
fn is_finite(number: f32) -> bool {
    (u32::reinterpret(number) >> 23) & 255 != 255
}

/// `rate` is the learning rate over the first moments' bias correction, `root` one over the square root of the second
/// moments' correction, and `keeps` holds `1 - lr * weight_decay` for each parameter.
#[cube(launch_unchecked)]
fn update_kernel<F: Float, N: Size>(
    weights: &mut Sequence<Box<[Vector<F, N>]>>,
    grads: &Sequence<Box<[Vector<F, N>]>>,
    state: &mut [Vector<f32, N>],
    lengths: &Sequence<usize>,
    places: &Sequence<usize>,
    distance: usize,
    keeps: &Sequence<f32>,
    beta1: f32,
    beta2: f32,
    rate: f32,
    root: f32,
    eps: f32,
    #[comptime] tensors: usize,
    #[define(F)] _dtype: ElemType,
) {
    let factor = state[0].extract(0usize);
    let skips = factor < 0.0;
    let factor = Vector::<f32, N>::new(factor);
    #[unroll]
    for tensor in 0..tensors {
        let weight = weights.index_mut(tensor);
        let end = select(skips, 0, *lengths.index(tensor));
        for i in range_stepped(ABSOLUTE_POS, end, stride()) {
            let first = places.index(tensor) + i;
            let second = first + distance;
            let grad = Vector::<f32, N>::cast_from(grads.index(tensor)[i]) * factor;
            let mean = mix::<N>(state[first], grad, beta1);
            let square = mix::<N>(state[second], grad * grad, beta2);
            state[first] = mean;
            state[second] = square;
            let kept = Vector::<f32, N>::cast_from(weight[i]) * Vector::new(*keeps.index(tensor));
            let scale = square.sqrt() * Vector::new(root) + Vector::new(eps);
            weight[i] = Vector::cast_from(kept - Vector::new(rate) * mean / scale);
        }
    }
}

/// Exponential moving average after one more value.
#[cube]
fn mix<N: Size>(mean: Vector<f32, N>, value: Vector<f32, N>, beta: f32) -> Vector<f32, N> {
    mean * Vector::new(beta) + value * Vector::new(1.0 - beta)
}

impl AdamwKernels for CubeBackend {
    fn largest(like: &CubeTensor) -> usize {
        like.client.properties().memory.max_page_size as usize / size_of::<f32>()
    }

    fn clip(
        grads: &[CubeTensor],
        state: Vec<CubeTensor>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (CubeTensor, Vec<CubeTensor>) {
        let state: Vec<_> = state.into_iter().map(own).collect();
        (clip(grads, &state, max_norm.unwrap_or(f32::MAX), scaled), state)
    }

    fn update(
        params: Vec<CubeTensor>,
        grads: Vec<CubeTensor>,
        state: Vec<CubeTensor>,
        arguments: Update<'_>,
    ) -> (Vec<CubeTensor>, Vec<CubeTensor>) {
        let state: Vec<_> = state.into_iter().map(own).collect();
        let params = params.into_iter().map(own).collect();
        (update(params, grads, &state, arguments), state)
    }
}
