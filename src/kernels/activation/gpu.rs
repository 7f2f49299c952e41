//! Activations in CubeCL.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Kind;
use crate::kernels::gpu::{elem, empty, share, stride, vector_size};

/// `y [N, F]` of `x [N, F]` and `gate [N, F]`.
pub fn forward(x: CubeTensor, gate: Option<CubeTensor>, kind: Kind) -> CubeTensor {
    let x = into_contiguous(x);
    let (y, client, dtype) = (empty(x.meta.shape().clone(), &x), x.client.clone(), elem(&x));
    let vector = vector_size(x.meta.num_elements());
    let (count, dim) = share(&client, x.meta.num_elements() / vector);
    // SAFETY: the kernel stays within the tensors, which are all of one size.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.into_buffer_arg(),
            gate.map(|gate| into_contiguous(gate).into_buffer_arg()).into(),
            y.clone().into_buffer_arg(),
            kind,
            dtype,
        );
    }
    y
}

/// Gradients of `x [N, F]` and `gate [N, F]` from `grad [N, F]`.
pub fn backward(
    x: CubeTensor,
    gate: Option<CubeTensor>,
    grad: CubeTensor,
    kind: Kind,
) -> (CubeTensor, Option<CubeTensor>) {
    let x = into_contiguous(x);
    let gradient = || empty(x.meta.shape().clone(), &x);
    let (dx, dgate) = (gradient(), gate.is_some().then(gradient));
    let (client, dtype) = (x.client.clone(), elem(&x));
    let vector = vector_size(x.meta.num_elements());
    let (count, dim) = share(&client, x.meta.num_elements() / vector);
    // SAFETY: the kernel stays within the tensors, which are all of one size.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.into_buffer_arg(),
            gate.map(|gate| into_contiguous(gate).into_buffer_arg()).into(),
            into_contiguous(grad).into_buffer_arg(),
            dx.clone().into_buffer_arg(),
            dgate.clone().map(CubeTensor::into_buffer_arg).into(),
            kind,
            dtype,
        );
    }
    (dx, dgate)
}

#[cube(launch_unchecked)]
fn forward_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    gate: ComptimeOption<&[Vector<F, N>]>,
    y: &mut [Vector<F, N>],
    #[comptime] kind: Kind,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, x.len(), stride()) {
        let x = Vector::<f32, N>::cast_from(x[i]);
        let value = #[comptime]
        match gate {
            ComptimeOption::Some(gate) => {
                let (bent, _) = curve::<N>(Vector::cast_from(gate[i]), kind);
                bent * x
            }
            ComptimeOption::None => {
                let (bent, _) = curve::<N>(x, kind);
                bent
            }
        };
        y[i] = Vector::cast_from(value);
    }
}

#[cube(launch_unchecked)]
fn backward_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    gate: ComptimeOption<&[Vector<F, N>]>,
    grad: &[Vector<F, N>],
    dx: &mut [Vector<F, N>],
    dgate: ComptimeOption<&mut [Vector<F, N>]>,
    #[comptime] kind: Kind,
    #[define(F)] _dtype: ElemType,
) {
    #[comptime]
    if let ComptimeOption::Some(dgate) = dgate {
        let gate = gate.unwrap();
        for i in range_stepped(ABSOLUTE_POS, x.len(), stride()) {
            let grad = Vector::<f32, N>::cast_from(grad[i]);
            let (bent, slope) = curve::<N>(Vector::cast_from(gate[i]), kind);
            dx[i] = Vector::cast_from(grad * bent);
            dgate[i] = Vector::cast_from(grad * Vector::cast_from(x[i]) * slope);
        }
    } else {
        for i in range_stepped(ABSOLUTE_POS, x.len(), stride()) {
            let (_, slope) = curve::<N>(Vector::cast_from(x[i]), kind);
            dx[i] = Vector::cast_from(Vector::<f32, N>::cast_from(grad[i]) * slope);
        }
    }
}

/// Value and slope at `x`. What the caller does not use, the compiler drops.
#[cube]
fn curve<N: Size>(x: Vector<f32, N>, #[comptime] kind: Kind) -> (Vector<f32, N>, Vector<f32, N>) {
    let one = Vector::<f32, N>::new(1.0);
    match kind {
        Kind::GeluTanh => {
            // 0.5 (1 + tanh(u / 2)) is the logistic function of u.
            let cubic = Vector::new(0.044715f32) * x * x;
            let factor = Vector::<f32, N>::new(comptime!(FRAC_2_SQRT_PI * 2f32.sqrt()));
            let share = logistic::<N>(factor * x * (one + cubic));
            let slope = factor * (one + Vector::new(3.0f32) * cubic);
            (x * share, share + x * share * (one - share) * slope)
        }
        Kind::GeluErf => {
            let scaled = x * Vector::new(comptime!(FRAC_1_SQRT_2));
            let share = Vector::new(0.5f32) * (one + scaled.erf());
            // The density of the normal distribution.
            let factor = Vector::new(comptime!(0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI));
            let density = factor * (-scaled * scaled).exp();
            (x * share, share + x * density)
        }
        Kind::Relu2 => {
            let positive = max(x, Vector::zeroed());
            (positive * positive, positive + positive)
        }
        Kind::Swiglu => {
            let share = logistic::<N>(x);
            (x * share, share + x * share * (one - share))
        }
    }
}

/// `1 / (1 + exp(-x))`. Beyond the bounds it is 0 or 1 in f32, and the exponential must not overflow: WGSL
/// does not say what becomes of infinities.
#[cube]
fn logistic<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let x = clamp(x, Vector::new(-80.0f32), Vector::new(80.0f32));
    let one = Vector::<f32, N>::new(1.0);
    one / (one + (-x).exp())
}
