//! Dropout in CubeCL.

use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Dropout;
use crate::kernels::gpu::{count_from, elem, empty, share, stride, vector_size};

/// Elements of `x` scaled or zeroed, plus those of `residual`.
pub fn apply(x: CubeTensor, residual: Option<CubeTensor>, dropout: Dropout) -> CubeTensor {
    let x = into_contiguous(x);
    let (y, client, dtype) = (empty(x.meta.shape().clone(), &x), x.client.clone(), elem(&x));
    let vector = vector_size(x.meta.num_elements());
    let (count, dim) = share(&client, x.meta.num_elements() / vector);
    // SAFETY: the kernel stays within the tensors, which are all of one size.
    unsafe {
        apply_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            x.into_buffer_arg(),
            residual.map(|residual| into_contiguous(residual).into_buffer_arg()).into(),
            y.clone().into_buffer_arg(),
            dropout.seed.wrapping_mul(0x9E37_79B9),
            dropout.threshold(),
            dropout.scale(),
            dtype,
        );
    }
    y
}

/// See [`factor`](super::factor).
#[cube(launch_unchecked)]
fn apply_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: ComptimeOption<&[Vector<F, N>]>,
    y: &mut [Vector<F, N>],
    seed: u32,
    threshold: u32,
    scale: f32,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, x.len(), stride()) {
        let fifteen = Vector::<u32, N>::new(15);
        let mut hash = count_from::<N>((i * N::value()) as u32) ^ Vector::new(seed);
        hash ^= hash >> Vector::new(16u32);
        hash *= Vector::new(0x21F0_AAADu32);
        hash ^= hash >> fifteen;
        hash *= Vector::new(0x735A_2D97u32);
        hash ^= hash >> fifteen;
        let kept = hash.greater_equal(&Vector::new(threshold));
        let scaled = Vector::<f32, N>::cast_from(x[i]) * Vector::new(scale);
        let mut value = select_many(kept, scaled, Vector::zeroed());
        #[comptime]
        if let ComptimeOption::Some(residual) = residual {
            value += Vector::cast_from(residual[i]);
        }
        y[i] = Vector::cast_from(value);
    }
}
