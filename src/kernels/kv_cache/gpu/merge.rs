//! Merges the results of tiles.

use cubecl::prelude::*;

use super::tile::HIDDEN;

/// Merges the results of `tiles` tiles, `sums [B T H, room, D]` and `softmax [B T H, room, 2]`, to `out [B T, H D]`: a
/// unit for each of its `vectors`.
#[cube(launch_unchecked)]
pub fn merge<F: Float, N: Size>(
    sums: &[Vector<f32, N>],
    softmax: &[f32],
    out: &mut [Vector<F, N>],
    vectors: usize,
    tiles: usize,
    room: usize,
    #[comptime] width: usize,
    #[define(F)] _element: ElemType,
) {
    if ABSOLUTE_POS >= vectors {
        terminate!();
    }
    let first = ABSOLUTE_POS / width * room;
    let column = ABSOLUTE_POS % width;
    let mut top = HIDDEN.runtime();
    for tile in 0..tiles {
        top = max(top, softmax[(first + tile) * 2]);
    }
    let mut total = 0f32;
    let mut sum = Vector::<f32, N>::new(0f32);
    for tile in 0..tiles {
        let at = first + tile;
        let factor = (softmax[at * 2] - top).exp();
        total += factor * softmax[at * 2 + 1];
        sum += Vector::new(factor) * sums[at * width + column];
    }
    out[ABSOLUTE_POS] = Vector::cast_from(sum * Vector::new(1.0 / total));
}
