//! Activation functions on GPUs: one pass over the elements in vectors of four, each unit on its own, no shared memory.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{ActivationKernels, ActivationOps, Kind};
use crate::kernels::dispatch::Optional;
use crate::kernels::gpu::{elem, empty, input, output, share, stride, vector_size};

fn forward(x: CubeTensor, gate: Option<CubeTensor>, kind: Kind) -> CubeTensor {
    let y = empty(x.meta.shape().clone(), &x);
    let client = x.client.clone();
    let dtype = elem(&x);
    let numbers = x.meta.num_elements();
    let vector = vector_size(numbers);
    let (count, dim) = share(&x, numbers / vector);
    // SAFETY: the kernel stays within `numbers`, which all tensors have.
    unsafe {
        forward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x),
            gate.map(input).into(),
            output(&y),
            numbers / vector,
            kind,
            dtype,
        );
    }
    y
}

fn backward(
    x: CubeTensor,
    gate: Option<CubeTensor>,
    grad: CubeTensor,
    kind: Kind,
) -> (CubeTensor, Option<CubeTensor>) {
    let gradient = || empty(x.meta.shape().clone(), &x);
    let dx = gradient();
    let dgate = gate.is_some().then(gradient);
    let client = x.client.clone();
    let dtype = elem(&x);
    let numbers = x.meta.num_elements();
    let vector = vector_size(numbers);
    let (count, dim) = share(&x, numbers / vector);
    // SAFETY: the kernel stays within `numbers`, which all tensors have.
    unsafe {
        backward_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x),
            gate.map(input).into(),
            input(grad),
            output(&dx),
            dgate.as_ref().map(output).into(),
            numbers / vector,
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
    vectors: usize,
    #[comptime] kind: Kind,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, vectors, stride()) {
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
    vectors: usize,
    #[comptime] kind: Kind,
    #[define(F)] _dtype: ElemType,
) {
    #[comptime]
    if let ComptimeOption::Some(dgate) = dgate {
        let gate = gate.unwrap();
        for i in range_stepped(ABSOLUTE_POS, vectors, stride()) {
            let grad = Vector::<f32, N>::cast_from(grad[i]);
            let (bent, slope) = curve::<N>(Vector::cast_from(gate[i]), kind);
            dx[i] = Vector::cast_from(grad * bent);
            dgate[i] = Vector::cast_from(grad * Vector::cast_from(x[i]) * slope);
        }
    } else {
        for i in range_stepped(ABSOLUTE_POS, vectors, stride()) {
            let (_, slope) = curve::<N>(Vector::cast_from(x[i]), kind);
            dx[i] = Vector::cast_from(Vector::<f32, N>::cast_from(grad[i]) * slope);
        }
    }
}

/// Value and derivative at `x`. The compiler drops what the caller does not use.
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

impl ActivationOps for CubeBackend {
    fn activate(x: CubeTensor, gate: Optional<Self>, kind: Kind) -> CubeTensor {
        forward(x, gate.into_option(), kind)
    }
}

impl ActivationKernels for CubeBackend {
    fn activation_backward(
        x: CubeTensor,
        gate: Option<CubeTensor>,
        kind: Kind,
        grad: CubeTensor,
    ) -> (CubeTensor, Option<CubeTensor>) {
        backward(x, gate, grad, kind)
    }
}
