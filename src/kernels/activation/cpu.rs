//! Activation functions on the CPU.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{ActivationKernels, ActivationOps, Kind};
use crate::kernels::cpu::tensor::{Floats, build, slice};
use crate::kernels::cpu::{exp, rows_per_task, sigmoid, vectorized};
use crate::kernels::dispatch::Optional;
use crate::kernels::span::span;

/// Cost of an element, relative to copying it.
const COST: usize = 7;

/// Computes `out = f(x)` element by element; [`Kind::Swiglu`] is `silu(gate) · x`.
fn forward(x: &[f32], gate: Option<&[f32]>, out: &mut [f32], kind: Kind) {
    let task = rows_per_task(x.len(), COST);
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task)).enumerate();
    tasks.for_each(|(i, (out, x))| {
        let gate = gate.map(|gate| &gate[i * task..i * task + x.len()]);
        forward_task(x, gate.unwrap_or_default(), out, kind);
    });
}

vectorized! {
    fn forward_task(x: &[f32], gate: &[f32], out: &mut [f32], kind: Kind) {
        match kind {
            Kind::GeluTanh => map(x, out, |x| x * sigmoid(2.0 * gelu_argument(x))),
            Kind::GeluErf => map(x, out, |x| x * normal(x).0),
            Kind::Relu2 => map(x, out, |x| if x < 0.0 { 0.0 } else { x * x }),
            Kind::Swiglu => {
                for ((out, &x), &gate) in out.iter_mut().zip(x).zip(gate) {
                    *out = x * (gate * sigmoid(gate));
                }
            }
        }
    }
}

/// Computes the gradient of `x` from that of the output, `dy`, and for [`Kind::Swiglu`], with `gate` and `dgate`, that of
/// the gate.
fn backward(
    x: &[f32],
    gate: Option<&[f32]>,
    dy: &[f32],
    dx: &mut [f32],
    dgate: Option<&mut [f32]>,
    kind: Kind,
) {
    let task = rows_per_task(x.len(), COST);
    let tasks = (dx.par_chunks_mut(task), x.par_chunks(task), dy.par_chunks(task)).into_par_iter();
    match (gate, dgate) {
        (Some(gate), Some(dgate)) => {
            let gates = gate.par_chunks(task).zip(dgate.par_chunks_mut(task));
            tasks
                .zip(gates)
                .for_each(|((dx, x, dy), (gate, dgate))| swiglu_task(x, gate, dy, dx, dgate));
        }
        _ => tasks.for_each(|(dx, x, dy)| backward_task(x, dy, dx, kind)),
    }
}

vectorized! {
    fn backward_task(x: &[f32], dy: &[f32], dx: &mut [f32], kind: Kind) {
        match kind {
            Kind::GeluTanh => chain(x, dy, dx, |x| {
                let half = sigmoid(2.0 * gelu_argument(x));
                half + x * 2.0 * half * (1.0 - half) * gelu_slope(x)
            }),
            Kind::GeluErf => chain(x, dy, dx, |x| {
                let (below, density) = normal(x);
                below + x * density
            }),
            Kind::Relu2 => chain(x, dy, dx, |x| if x < 0.0 { 0.0 } else { 2.0 * x }),
            // Has two gradients: `swiglu_task`.
            Kind::Swiglu => {}
        }
    }

    fn swiglu_task(x: &[f32], gate: &[f32], dy: &[f32], dx: &mut [f32], dgate: &mut [f32]) {
        let outputs = dx.iter_mut().zip(dgate);
        for ((&x, &gate), (&dy, (dx, dgate))) in x.iter().zip(gate).zip(dy.iter().zip(outputs)) {
            let half = sigmoid(gate);
            *dx = dy * (gate * half);
            *dgate = dy * x * (half + gate * half * (1.0 - half));
        }
    }
}

#[inline(always)]
fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

#[inline(always)]
fn chain(x: &[f32], dy: &[f32], dx: &mut [f32], slope: impl Fn(f32) -> f32) {
    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
        *dx = dy * slope(x);
    }
}

/// √(2/π)
const GELU: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

/// Argument of the tanh in GELU's approximation. `(1 + tanh(u)) / 2` is the sigmoid of 2u.
#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    GELU * (x + GELU_CUBE * x * x * x)
}

/// The derivative of [`gelu_argument`].
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    GELU * (1.0 + 3.0 * GELU_CUBE * x * x)
}

/// The standard normal distribution below `x`, within 1e-7, and its density there. Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let p = 1.061_405_4;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let bell = exp(-0.5 * x * x);
    let tail = 0.5 * p * t * bell;
    let below = if x < 0.0 { tail } else { 1.0 - tail };
    // 1 / √(2π)
    (below, bell * 0.398_942_3)
}

impl ActivationOps for Flex {
    fn activate(x: FlexTensor, gate: Optional<Self>, kind: Kind) -> FlexTensor {
        let _span = span("activation");
        let shape = x.shape();
        let x = Floats::of(x);
        let gate = gate.into_option().map(Floats::of);
        build(shape, |out| forward(x.get(), slice(&gate), out, kind))
    }
}

impl ActivationKernels for Flex {
    fn activation_backward(
        x: FlexTensor,
        gate: Option<FlexTensor>,
        kind: Kind,
        grad: FlexTensor,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("activation, backward");
        let shape = x.shape();
        let x = Floats::of(x);
        let gate = gate.map(Floats::of);
        let grad = Floats::of(grad);
        let mut gate_grad = gate.as_ref().map(|gate| vec![0.0; gate.get().len()]);
        let x_grad = build(shape.clone(), |dx| {
            let dgate = gate_grad.as_deref_mut();
            backward(x.get(), slice(&gate), grad.get(), dx, dgate, kind);
        });
        (x_grad, gate_grad.map(|values| FlexTensor::from_data(TensorData::new(values, shape))))
    }
}
