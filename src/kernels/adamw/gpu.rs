//! AdamW in CubeCL: as many tensors in a launch as a kernel may have buffers.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::layout::LOSS_SCALE;
use super::{CALM, Update};
use crate::kernels::gpu::{
    Fold, elem, empty_of, fold, is_serial, lane, row, share, spread_rows, stride, vector_size,
};

/// Tensors a launch takes where buffers are no limit: a kernel's code grows with them.
const MANY: usize = 16;

/// The norm of all `grads` together, `[1]`; leaves in `state` the factor that brings it down to `max_norm`, and,
/// if they are `scaled`, the next loss scale.
pub fn clip(grads: &[CubeTensor], state: &[CubeTensor], max_norm: f32, scaled: bool) -> CubeTensor {
    let like = &grads[0];
    let client = &like.client;
    let buffers = client.properties().hardware.max_bindings as usize;
    let chunks = grads.chunks((buffers - 1).min(MANY));
    let parts = if is_serial() { 64 } else { 512 };
    let partial = empty_of(DType::F32, [parts * chunks.len()], like);
    for (i, chunk) in chunks.enumerate() {
        let vector = common_vector_size(chunk);
        let (count, dim, lanes) = spread_rows(client, parts, 128);
        let chunk = chunk.iter().map(|grad| into_contiguous(grad.clone()).into_buffer_arg());
        // SAFETY: each row writes its own partial sum, and reads within the gradients.
        unsafe {
            squares_kernel::launch_unchecked(
                client,
                count,
                dim,
                vector,
                chunk.collect(),
                partial.clone().into_buffer_arg(),
                i * parts,
                parts,
                lanes,
                elem(like),
            );
        }
    }
    let norm = empty_of(DType::F32, [1], like);
    for state in state.chunks(buffers - 2) {
        let (_, dim, lanes) = spread_rows(client, 1, 256);
        // SAFETY: the kernel reads within the partial sums, and every state has a head.
        unsafe {
            clip_kernel::launch_unchecked(
                client,
                CubeCount::new_single(),
                dim,
                partial.clone().into_buffer_arg(),
                norm.clone().into_buffer_arg(),
                state.iter().map(|state| state.clone().into_buffer_arg()).collect(),
                max_norm,
                scaled,
                lanes,
            );
        }
    }
    norm
}

/// One step: `params` after it, which stay where they are. They and `state` are changed in place: nobody else
/// may hold them. `state` holds the factor that [`clip`] has left there for these `grads`.
pub fn update(
    params: Vec<CubeTensor>,
    grads: Vec<CubeTensor>,
    state: &[CubeTensor],
    update: Update<'_>,
) -> Vec<CubeTensor> {
    let Update { layout, decays, step } = update;
    let slots = layout.slots();
    let client = params[0].client.clone();
    let grads: Vec<CubeTensor> = grads.into_iter().map(into_contiguous).collect();
    let most = ((client.properties().hardware.max_bindings as usize - 1) / 2).min(MANY);
    let mut begin = 0;
    while begin < params.len() {
        let buffer = slots[begin].buffer;
        let fits = slots[begin..].iter().take(most).take_while(|slot| slot.buffer == buffer);
        let range = begin..begin + fits.count();
        begin = range.end;
        let (params, slots) = (&params[range.clone()], &slots[range.clone()]);
        let vector = common_vector_size(params);
        let largest = params.iter().map(|param| param.meta.num_elements()).max().unwrap_or(0);
        let (count, dim) = share(&client, largest / vector);
        let keep = |decays: &bool| if *decays { 1.0 - step.lr * step.weight_decay } else { 1.0 };
        // SAFETY: the kernel stays within each weight, whose gradient and moments are as long.
        unsafe {
            update_kernel::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                params.iter().map(|param| param.clone().into_buffer_arg()).collect(),
                grads[range.clone()].iter().map(|grad| grad.clone().into_buffer_arg()).collect(),
                state[buffer].clone().into_buffer_arg(),
                slots.iter().map(|slot| slot.first / vector).collect(),
                (slots[0].second - slots[0].first) / vector,
                decays[range].iter().map(keep).collect(),
                step.beta1,
                step.beta2,
                step.lr / step.correction1,
                step.correction2.sqrt().recip(),
                step.eps,
                elem(&params[0]),
            );
        }
    }
    params
}

/// How many numbers a unit can read at a time from each of the tensors.
fn common_vector_size(tensors: &[CubeTensor]) -> usize {
    let sizes = tensors.iter().map(|tensor| vector_size(tensor.meta.num_elements()));
    sizes.min().unwrap_or(1)
}

/// The sum of the squares of every `rows`-th vector, from each row's own on, at `offset` in `partial`.
#[cube(launch_unchecked)]
fn squares_kernel<F: Float, N: Size>(
    grads: &Sequence<Box<[Vector<F, N>]>>,
    partial: &mut [f32],
    offset: usize,
    rows: usize,
    #[comptime] lanes: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let mut sum = Vector::<f32, N>::zeroed();
    #[unroll]
    for tensor in 0..grads.len() {
        let grad = grads.index(tensor);
        for i in range_stepped(row * lanes + lane(lanes), grad.len(), rows * lanes) {
            let value = Vector::<f32, N>::cast_from(grad[i]);
            sum += value * value;
        }
    }
    let sum = fold::<N>(sum, Fold::Sum, lanes);
    if lane(lanes) == 0 {
        partial[offset + row] = sum;
    }
}

/// The norm from the partial sums of squares, and the factor for clipping, as PyTorch computes it.
#[cube(launch_unchecked)]
fn clip_kernel(
    partial: &[f32],
    norm: &mut [f32],
    states: &mut Sequence<Box<[f32]>>,
    max_norm: f32,
    #[comptime] scaled: bool,
    #[comptime] lanes: usize,
) {
    if row(lanes) > 0 {
        terminate!();
    }
    let mut sum = Vector::<f32, Const<1>>::zeroed();
    for i in range_stepped(lane(lanes), partial.len(), lanes) {
        sum += Vector::new(partial[i]);
    }
    let length = fold::<Const<1>>(sum, Fold::Sum, lanes).sqrt();
    if lane(lanes) == 0 {
        #[unroll]
        for i in 0..states.len() {
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

/// From the bits: shader compilers may take for granted that numbers are finite.
#[cube]
fn is_finite(number: f32) -> bool {
    (u32::reinterpret(number) >> 23) & 255 != 255
}

/// `rate` is the learning rate over the first moments' correction, `root` what the second moments' does to
/// their root, and `keeps` what decay leaves of each weight.
#[cube(launch_unchecked)]
fn update_kernel<F: Float, N: Size>(
    weights: &mut Sequence<Box<[Vector<F, N>]>>,
    grads: &Sequence<Box<[Vector<F, N>]>>,
    state: &mut [Vector<f32, N>],
    places: &Sequence<usize>,
    distance: usize,
    keeps: &Sequence<f32>,
    beta1: f32,
    beta2: f32,
    rate: f32,
    root: f32,
    eps: f32,
    #[define(F)] _dtype: ElemType,
) {
    let factor = state[0].extract(0usize);
    let skips = factor < 0.0;
    let factor = Vector::<f32, N>::new(factor);
    #[unroll]
    for tensor in 0..weights.len() {
        let weight = weights.index_mut(tensor);
        let end = select(skips, 0, weight.len());
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

/// A running mean after one more value.
#[cube]
fn mix<N: Size>(mean: Vector<f32, N>, value: Vector<f32, N>, beta: f32) -> Vector<f32, N> {
    mean * Vector::new(beta) + value * Vector::new(1.0 - beta)
}
