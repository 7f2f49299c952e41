//! Shared by the GPU kernels: tensors as arguments, distribution of work over units, and sums.
//!
//! Two rules hold for every kernel, since a violation shows on CUDA only:
//!
//! - Lengths are arguments. The length of a slice inside a kernel is the allocation's, and the CUDA runtime pads what is
//!   uploaded from the host.
//! - Slices are contiguous. burn's operations may return rows with gaps (on CUDA, matrix products do), so tensors become
//!   arguments in [`input`] and [`output`] only.
//!
//! Terms: a unit is an invocation (thread), a cube is a workgroup (thread block). On a software adapter (see
//! [`prefer_serial`](super::prefer_serial)) a unit works alone; on a GPU the units of a cube share rows through shared
//! memory.

use burn::backend::cubecl::dtype_to_elem_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::device;

/// Returns whether the kernels run on a software adapter.
pub(super) fn is_serial(tensor: &CubeTensor) -> bool {
    device::is_serial(&tensor.device)
}

/// Passes `tensor` to a kernel that reads it: its numbers row by row, without gaps, copied if necessary.
pub(super) fn input(tensor: CubeTensor) -> BufferArg {
    into_contiguous(tensor).into_buffer_arg()
}

/// Passes `tensor` to a kernel that writes it.
///
/// # Panics
/// If its rows have gaps: the kernel would write into a copy. [`empty`], [`empty_of`] and [`own`] return tensors
/// without gaps.
pub(super) fn output(tensor: &CubeTensor) -> BufferArg {
    assert!(tensor.is_contiguous(), "a kernel's output is not contiguous: {tensor:?}");
    tensor.clone().into_buffer_arg()
}

/// Allocates a contiguous tensor of `shape` on the device of `like` and of its type.
pub(super) fn empty(shape: impl Into<Shape>, like: &CubeTensor) -> CubeTensor {
    empty_of(like.dtype, shape, like)
}

/// Allocates a contiguous tensor of `shape` and `dtype` on the device of `like`.
pub(super) fn empty_of(dtype: DType, shape: impl Into<Shape>, like: &CubeTensor) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// Returns `tensor` in a form that can be changed in place: a copy if it is shared or a view.
pub(super) fn own(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// The element type of `tensor` in the form kernels take.
pub(super) fn elem(tensor: &CubeTensor) -> ElemType {
    dtype_to_elem_type(tensor.dtype)
}

/// Rows and columns of a matrix.
pub(super) fn dims(tensor: &CubeTensor) -> [usize; 2] {
    [tensor.meta.shape()[0], tensor.meta.shape()[1]]
}

/// Numbers that a unit reads at a time from rows of `width`.
pub(super) fn vector_size(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// Cubes for `units` independent units on the device of `like`.
pub(super) fn spread(like: &CubeTensor, units: usize) -> (CubeCount, CubeDim) {
    // A software adapter runs four units at a time in one thread per cube: few units want small cubes.
    let dim = if is_serial(like) { (units / 32).next_power_of_two().clamp(4, 64) } else { 128 };
    let dim = CubeDim::new_1d(dim as u32);
    (calculate_cube_count_elemwise(&like.client, units, dim), dim)
}

/// Cubes for units that share `count` items of work in a loop with step [`stride`].
pub(super) fn share(like: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    // A software adapter executes a branch even if no unit takes it, but not a loop: few units with long loops suit it.
    spread(like, if is_serial(like) { count.min(128) } else { count })
}

/// Cubes for `rows` rows of `width` vectors, and the number of units that share a row: see [`row`] and [`lane`].
pub(super) fn spread_rows(
    like: &CubeTensor,
    rows: usize,
    width: usize,
) -> (CubeCount, CubeDim, usize) {
    if is_serial(like) {
        let (count, dim) = spread(like, rows);
        return (count, dim, 1);
    }
    let lanes = width.next_power_of_two().clamp(32, 256);
    let count = calculate_cube_count_elemwise(&like.client, rows, CubeDim::new_single());
    (count, CubeDim::new_1d(lanes as u32), lanes)
}

/// Number of units that [`share`] the work.
#[cube]
pub(super) fn stride() -> usize {
    CUBE_COUNT * CUBE_DIM as usize
}

/// The row of this unit; `lanes` units share one.
#[cube]
pub(super) fn row(#[comptime] lanes: usize) -> usize {
    if comptime!(lanes == 1) { ABSOLUTE_POS } else { CUBE_POS }
}

/// Index of this unit among those of its row.
#[cube]
pub(super) fn lane(#[comptime] lanes: usize) -> usize {
    if comptime!(lanes == 1) { 0usize.runtime() } else { UNIT_POS as usize }
}

/// Operation by which [`fold`] combines two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fold {
    Sum,
    Max,
}

/// Combines the numbers of all units of a row into one, which every unit receives. The order is fixed, so results are
/// reproducible. On a GPU it is a tree over `lanes` floats of shared memory.
#[cube]
pub(super) fn fold<N: Size>(
    own: Vector<f32, N>,
    #[comptime] how: Fold,
    #[comptime] lanes: usize,
) -> f32 {
    let mut value = own.extract(0usize);
    #[unroll]
    for i in 1..N::value() {
        value = join(value, own.extract(i), how);
    }
    if comptime!(lanes > 1) {
        let unit = UNIT_POS as usize;
        let mut values = Shared::<[f32]>::new_slice(lanes);
        values[unit] = value;
        sync_cube();
        #[unroll]
        for step in 0..comptime!(lanes.ilog2()) {
            let half = comptime!(lanes >> (step + 1));
            if unit < half {
                values[unit] = join(values[unit], values[unit + half], how);
            }
            sync_cube();
        }
        value = values[0];
    }
    value
}

#[cube]
fn join(a: f32, b: f32, #[comptime] how: Fold) -> f32 {
    match how {
        Fold::Sum => a + b,
        Fold::Max => max(a, b),
    }
}

/// Vector of `start`, `start + 1`, `start + 2`, …
#[cube]
pub(super) fn count_from<N: Size>(start: u32) -> Vector<u32, N> {
    let mut numbers = Vector::<u32, N>::empty();
    #[unroll]
    for i in 0..N::value() {
        numbers.insert(i, start + i as u32);
    }
    numbers
}
