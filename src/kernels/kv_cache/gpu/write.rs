//! Writes new keys and values.

use cubecl::prelude::*;

use super::layout::{Layout, Span};

/// Copies the keys and values of `qkv [B T, (H + 2 K) D]` to `cache [2, B, K, S, D]`, one vector per unit.
#[cube(launch_unchecked)]
pub fn write<F: Float, N: Size>(
    qkv: &[Vector<F, N>],
    cache: &mut [Vector<F, N>],
    tokens: usize,
    span: Span,
    #[comptime] layout: Layout,
    #[define(F)] _element: ElemType,
) {
    let width = comptime!(layout.width);
    let each = comptime!(2 * layout.kv_heads * layout.width);
    if ABSOLUTE_POS >= span.batch * tokens * each {
        terminate!();
    }
    let row = ABSOLUTE_POS / each;
    let column = ABSOLUTE_POS % each;
    let head = column / width;
    let part = head / comptime!(layout.kv_heads);
    let pair = row / tokens * layout.kv_heads + head % layout.kv_heads;
    let from = row * comptime!(layout.packed()) + comptime!(layout.heads * layout.width) + column;
    let to = span.head(part, pair, layout) + (span.start + row % tokens) * width + column % width;
    cache[to] = qkv[from];
}
