//! The cache on GPUs.
//!
//! Keys are read in tiles (Flash-Decoding). For every tile and every query that sees some of it, one kernel writes the
//! attention to that tile alone, with its softmax's maximum and sum; another kernel merges the tiles. So a single query
//! occupies as many units as its cache has tiles.
//!
//! - On a GPU, a cube of 64 units shares a tile of 64 keys: a key per unit for the scores, which meet in shared memory,
//!   then a part of the values' columns per unit. Up to 8 queries that share a key head are served at once, so that
//!   scores, partial sums and totals fit in WebGPU's 16 KiB.
//! - On a software adapter, a unit has a tile of 16 keys and up to 4 queries of its own, in registers.

mod layout;
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

use self::layout::{Layout, SpanLaunch, TilesLaunch};
use super::{KvCacheOps, Place};
use crate::kernels::attention::{Options, gpu::params};
use crate::kernels::gpu::{
    dims, elem, empty, empty_of, input, is_serial, output, own, spread, vector_size,
};

/// Writes keys and values of `qkv [B T, (H + 2 K) D]` to `cache [2, B, K, S, D]` in place.
fn write(cache: &CubeTensor, qkv: CubeTensor, start: usize) {
    let place = Place::new(qkv.meta.shape(), cache.meta.shape(), start);
    let vector = vector_size(place.dim);
    let layout = Layout::new(place, vector, is_serial(&qkv));
    let units = place.batch * place.tokens * 2 * place.kv_heads * layout.width;
    let (count, dim) = spread(&qkv, units);
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    // SAFETY: the caller checked that there is room; the kernel uses as many units as there are vectors.
    unsafe {
        write::write::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(qkv),
            output(cache),
            place.tokens,
            SpanLaunch::new(place.batch, place.capacity, place.start),
            layout,
            dtype,
        );
    }
}

/// Tokens of a sequence that attend at once: the tiles' results take memory for each of them.
const TOKENS: usize = 16;

fn attend(qkv: CubeTensor, cache: CubeTensor, start: usize, options: &Options) -> CubeTensor {
    let qkv = into_contiguous(qkv);
    let cache = into_contiguous(cache);
    let Options { batch, tokens, .. } = *options;
    if tokens <= TOKENS {
        return attend_at_once(qkv, cache, start, options);
    }
    let width = dims(&qkv)[1];
    let qkv = reshape(qkv, [batch, tokens, width].into());
    let parts = (0..tokens).step_by(TOKENS).map(|from| {
        let count = TOKENS.min(tokens - from);
        let piece = [Slice::full(), Slice::from(from..from + count), Slice::full()];
        let piece = into_contiguous(CubeBackend::float_slice(qkv.clone(), &piece));
        let piece = reshape(piece, [batch * count, width].into());
        let options = Options { tokens: count, ..options.clone() };
        let out = attend_at_once(piece, cache.clone(), start + from, &options);
        let width = dims(&out)[1];
        reshape(out, [batch, count, width].into())
    });
    let out = CubeBackend::float_cat(parts.collect(), 1);
    let width = out.meta.shape()[2];
    reshape(out, [batch * tokens, width].into())
}

/// [`attend`] of contiguous tensors for up to [`TOKENS`] tokens.
fn attend_at_once(
    qkv: CubeTensor,
    cache: CubeTensor,
    start: usize,
    options: &Options,
) -> CubeTensor {
    let client = qkv.client.clone();
    let dtype = elem(&qkv);
    let place = Place::new(qkv.meta.shape(), cache.meta.shape(), start);
    let vector = vector_size(place.dim);
    let layout = Layout::new(place, vector, is_serial(&qkv));

    let first = place.first_key(start, options.window);
    let tiles = (place.end() - first).div_ceil(layout.keys);
    // For the tiles of a full cache, so that allocations keep their size from token to token.
    let room = place.capacity.div_ceil(layout.keys);
    let rows = place.batch * place.tokens * place.heads;
    let sums = empty_of(DType::F32, [rows, room, place.dim], &qkv);
    let softmax = empty_of(DType::F32, [rows, room, 2], &qkv);
    let span = SpanLaunch::new(place.batch, place.capacity, start);
    let which = TilesLaunch::new(first, tiles, room);

    let chunks = (place.group() * place.tokens).div_ceil(layout.rows);
    let pairs = place.batch * place.kv_heads;
    let [from_qkv, from_cache] = [qkv.clone(), cache].map(input);
    let [to_sums, to_softmax] = [&sums, &softmax].map(output);
    // SAFETY: the kernels read clamped keys and queries, and write the results of tiles that exist.
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
            let (count, dim) = spread(&qkv, tiles * pairs * chunks);
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
    let (count, dim) = spread(&qkv, rows * layout.width);
    // SAFETY: the kernel uses as many units as `out` has vectors, and reads the tiles written above.
    unsafe {
        merge::merge::launch_unchecked(
            &client,
            count,
            dim,
            vector,
            input(sums),
            input(softmax),
            output(&out),
            rows * layout.width,
            tiles,
            room,
            layout.width,
            dtype,
        );
    }
    out
}

impl KvCacheOps for CubeBackend {
    fn cache_write(cache: CubeTensor, qkv: CubeTensor, start: usize) -> CubeTensor {
        let cache = own(cache);
        write(&cache, qkv, start);
        cache
    }

    fn cache_attend(
        qkv: CubeTensor,
        cache: CubeTensor,
        start: usize,
        options: Options,
    ) -> CubeTensor {
        attend(qkv, cache, start, &options)
    }
}
