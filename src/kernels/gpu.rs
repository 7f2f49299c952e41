//! What the CubeCL kernels share.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::cubecl::dtype_to_elem_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

static SERIAL: AtomicBool = AtomicBool::new(false);

/// Says whether the adapter is a processor posing as a GPU.
///
/// Such an adapter runs a workgroup's units one after another: barriers and shared memory cost it much and
/// gain it nothing, so each unit then does a larger piece of work alone.
pub fn prefer_serial(serial: bool) {
    SERIAL.store(serial, Ordering::Relaxed);
}

/// What [`prefer_serial`] was told.
pub(super) fn is_serial() -> bool {
    SERIAL.load(Ordering::Relaxed)
}

/// Room for a tensor of `shape` beside `like`, of its type.
pub(super) fn empty(shape: impl Into<Shape>, like: &CubeTensor) -> CubeTensor {
    empty_device_contiguous_dtype(
        like.client.clone(),
        like.device.clone(),
        shape.into(),
        like.dtype,
    )
}

/// [`empty`], of another type.
pub(super) fn empty_of(dtype: DType, shape: impl Into<Shape>, like: &CubeTensor) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// A tensor's type as kernels are told it.
pub(super) fn elem(tensor: &CubeTensor) -> ElemType {
    dtype_to_elem_type(tensor.dtype)
}

/// How many numbers a unit reads at a time from rows of `width`.
pub(super) fn vector_size(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// Cubes for `units` units that work each on their own.
pub(super) fn spread(client: &Client, units: usize) -> (CubeCount, CubeDim) {
    // A software adapter runs four units at a time in a thread per cube: few units want small cubes.
    let dim = if is_serial() { (units / 32).next_power_of_two().clamp(4, 64) } else { 128 };
    let dim = CubeDim::new_1d(dim as u32);
    (calculate_cube_count_elemwise(client, units, dim), dim)
}

/// Cubes for units that share `count` pieces of work: each has those [`stride`] apart.
pub(super) fn share(client: &Client, count: usize) -> (CubeCount, CubeDim) {
    // A software adapter runs a branch that no unit takes, but not a loop: few units with long loops suit it.
    spread(client, if is_serial() { count.min(128) } else { count })
}

/// How many units [`share`] the work.
#[cube]
pub(super) fn stride() -> usize {
    CUBE_COUNT * CUBE_DIM as usize
}

/// Cubes for `rows` rows of `width` vectors, and how many units share a row: see [`row`] and [`lane`].
pub(super) fn spread_rows(
    client: &Client,
    rows: usize,
    width: usize,
) -> (CubeCount, CubeDim, usize) {
    if is_serial() {
        let (count, dim) = spread(client, rows);
        return (count, dim, 1);
    }
    let lanes = width.next_power_of_two().clamp(32, 256);
    let count = calculate_cube_count_elemwise(client, rows, CubeDim::new_single());
    (count, CubeDim::new_1d(lanes as u32), lanes)
}

/// The row this unit works on: `lanes` of them share one.
#[cube]
pub(super) fn row(#[comptime] lanes: usize) -> usize {
    if comptime!(lanes == 1) { ABSOLUTE_POS } else { CUBE_POS }
}

/// Which of the units of its row this one is.
#[cube]
pub(super) fn lane(#[comptime] lanes: usize) -> usize {
    if comptime!(lanes == 1) { 0usize.runtime() } else { UNIT_POS as usize }
}

/// How the values of a row's units become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fold {
    Sum,
    Max,
}

/// Folds the numbers of a row's units to one, which all of them get, in an order that is always the same.
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

/// `start`, `start + 1`, and so on.
#[cube]
pub(super) fn count_from<N: Size>(start: u32) -> Vector<u32, N> {
    let mut numbers = Vector::<u32, N>::empty();
    #[unroll]
    for i in 0..N::value() {
        numbers.insert(i, start + i as u32);
    }
    numbers
}
