//! Dropout on GPUs: one pass over the elements in vectors of four, each unit on its own, no shared memory.

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{Dropout, DropoutOps};
use crate::kernels::dispatch::Optional;
use crate::kernels::gpu::{count_from, elem, empty, input, output, share, stride, vector_size};

fn apply(x: CubeTensor, residual: Option<CubeTensor>, dropout: Dropout) -> CubeTensor {
    let y = empty(x.meta.shape().clone(), &x);
    let client = x.client.clone();
    let dtype = elem(&x);
    let numbers = x.meta.num_elements();
    let vector = vector_size(numbers);
    let (count, dim) = share(&x, numbers / vector);
    // SAFETY: the kernel stays within `numbers`, which all tensors have.
    unsafe {
        apply_kernel::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(x),
            residual.map(input).into(),
            output(&y),
            numbers / vector,
            dropout.seed.wrapping_mul(0x9E37_79B9),
            dropout.threshold(),
            dropout.scale(),
            dtype,
        );
    }
    y
}

/// See [`factor`](super::reference::factor).
#[cube(launch_unchecked)]
fn apply_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    residual: ComptimeOption<&[Vector<F, N>]>,
    y: &mut [Vector<F, N>],
    vectors: usize,
    seed: u32,
    threshold: u32,
    scale: f32,
    #[define(F)] _dtype: ElemType,
) {
    for i in range_stepped(ABSOLUTE_POS, vectors, stride()) {
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

impl DropoutOps for CubeBackend {
    fn drop_out(x: CubeTensor, residual: Optional<Self>, dropout: Dropout) -> CubeTensor {
        apply(x, residual.into_option(), dropout)
    }
}
