//! The cache as CubeCL kernels.
//!
//! Keys are read in tiles. For every tile and every query that looks at it, one kernel leaves what the query
//! would gather if there were no other keys; another merges these. So a single query has work for as many units
//! as its cache is long. On a GPU the units of a cube share a tile, a key each; on a processor posing as one, a
//! unit has a tile of its own.

mod merge;
mod tile;
mod write;

use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use self::tile::{Layout, SpanLaunch, TilesLaunch};
use super::Place;
use crate::kernels::attention::{Options, gpu::params};
use crate::kernels::gpu::{elem, empty, empty_of, spread, vector_size};

/// Puts keys and values of `qkv [B T, (H + 2 K) D]` into `cache [2, B, K, S, D]`, in place.
pub fn write(cache: &CubeTensor, qkv: CubeTensor, start: usize) {
    let qkv = into_contiguous(qkv);
    let place = Place::new(qkv.meta.shape(), cache.meta.shape(), start);
    let vector = vector_size(place.dim);
    let layout = Layout::new(place, vector);
    let units = place.batch * place.tokens * 2 * place.kv_heads * layout.width;
    let (count, dim) = spread(&qkv.client, units);
    // SAFETY: `Place` makes sure that there is room; the kernel takes as many units as there are vectors.
    unsafe {
        write::write::launch_unchecked(
            &qkv.client,
            count,
            dim,
            vector,
            qkv.clone().into_buffer_arg(),
            cache.clone().into_buffer_arg(),
            place.tokens,
            SpanLaunch::new(place.batch, place.capacity, place.start),
            layout,
            elem(&qkv),
        );
    }
}

/// Tokens of a sequence that attend at once: what the tiles leave takes memory for each of them.
const TOKENS: usize = 16;

/// `[B T, H D]`: what the queries of `qkv [B T, (H + 2 K) D]` gather from `cache [2, B, K, S, D]`.
pub fn attend(qkv: CubeTensor, cache: CubeTensor, start: usize, options: &Options) -> CubeTensor {
    let (qkv, cache) = (into_contiguous(qkv), into_contiguous(cache));
    let Options { batch, tokens, .. } = *options;
    if tokens <= TOKENS {
        return attend_at_once(qkv, cache, start, options);
    }
    let width = qkv.meta.shape()[1];
    let qkv = reshape(qkv, [batch, tokens, width].into());
    let parts = (0..tokens).step_by(TOKENS).map(|from| {
        let count = TOKENS.min(tokens - from);
        let piece = [Slice::full(), Slice::from(from..from + count), Slice::full()];
        let piece = into_contiguous(CubeBackend::float_slice(qkv.clone(), &piece));
        let piece = reshape(piece, [batch * count, width].into());
        let options = Options { tokens: count, ..options.clone() };
        let out = attend_at_once(piece, cache.clone(), start + from, &options);
        let width = out.meta.shape()[1];
        reshape(out, [batch, count, width].into())
    });
    let out = CubeBackend::float_cat(parts.collect(), 1);
    let width = out.meta.shape()[2];
    reshape(out, [batch * tokens, width].into())
}

/// [`attend`] of contiguous tensors, without regard to memory.
fn attend_at_once(
    qkv: CubeTensor,
    cache: CubeTensor,
    start: usize,
    options: &Options,
) -> CubeTensor {
    let (client, dtype) = (qkv.client.clone(), elem(&qkv));
    let place = Place::new(qkv.meta.shape(), cache.meta.shape(), start);
    let vector = vector_size(place.dim);
    let layout = Layout::new(place, vector);

    let first = place.first_key(start, options.window);
    let tiles = (place.end() - first).div_ceil(layout.keys);
    // Room for the tiles of a full cache, so that memory does not grow with every token.
    let room = place.capacity.div_ceil(layout.keys);
    let rows = place.batch * place.tokens * place.heads;
    let sums = empty_of(DType::F32, [rows, room, place.dim], &qkv);
    let softmax = empty_of(DType::F32, [rows, room, 2], &qkv);
    let span = SpanLaunch::new(place.batch, place.capacity, start);
    let which = TilesLaunch::new(first, tiles, room);

    let chunks = (place.group() * place.tokens).div_ceil(layout.rows);
    let pairs = place.batch * place.kv_heads;
    let [from_qkv, from_cache, to_sums, to_softmax] =
        [&qkv, &cache, &sums, &softmax].map(|tensor| tensor.clone().into_buffer_arg());
    // SAFETY: the kernels read clamped keys and queries, and write to the rooms of tiles that exist.
    unsafe {
        if layout.shared {
            let count = CubeCount::Static(tiles as u32, pairs as u32, chunks as u32);
            let dim = CubeDim::new_1d(layout.keys as u32);
            tile::together::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                from_qkv,
                from_cache,
                to_sums,
                to_softmax,
                params(options),
                span,
                which,
                layout,
                dtype,
            );
        } else {
            let (count, dim) = spread(&client, tiles * pairs * chunks);
            tile::alone::launch_unchecked(
                &client,
                count,
                dim,
                vector,
                from_qkv,
                from_cache,
                to_sums,
                to_softmax,
                params(options),
                span,
                which,
                layout,
                dtype,
            );
        }
    }
    let out = empty([place.batch * place.tokens, place.heads * place.dim], &qkv);
    let (count, dim) = spread(&client, rows * layout.width);
    // SAFETY: the kernel takes as many units as `out` has vectors, and reads the tiles written above.
    unsafe {
        merge::merge::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            sums.into_buffer_arg(),
            softmax.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            tiles,
            room,
            layout.width,
            dtype,
        );
    }
    out
}
