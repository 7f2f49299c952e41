//! Rotary positions in CubeCL.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::Slice;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::Heads;
use crate::kernels::gpu::{elem, empty, lane, row, spread_rows, vector_size};

/// `q [N, H D]`, `k [N, K D]` and `v [N, K D]` side by side, `[N, (H + 2 K) D]`, the first two rotated by
/// the cosines and sines `[T, D / 2]` of `table`.
pub fn pack(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    table: Option<(CubeTensor, CubeTensor)>,
    heads: Heads,
) -> CubeTensor {
    if !heads.dim.is_multiple_of(2) {
        // The kernel moves halves of heads. Those without are never rotated.
        return CubeBackend::float_cat(vec![q, k, v], 1);
    }
    let rows = q.meta.shape()[0];
    let qkv = empty([rows, (heads.query + 2 * heads.kv) * heads.dim], &q);
    let sources = [q, k, v].map(|part| into_contiguous(part).into_buffer_arg());
    launch(&qkv, rows, sources, [qkv.clone().into_buffer_arg()], table, heads, false);
    qkv
}

/// Undoes [`pack`]: queries, keys and values.
pub fn unpack(
    qkv: CubeTensor,
    table: Option<(CubeTensor, CubeTensor)>,
    heads: Heads,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    if !heads.dim.is_multiple_of(2) {
        let part = |from: usize, count: usize| {
            let columns = Slice::from(from * heads.dim..(from + count) * heads.dim);
            CubeBackend::float_slice(qkv.clone(), &[Slice::full(), columns])
        };
        let key = heads.query;
        return (part(0, key), part(key, heads.kv), part(key + heads.kv, heads.kv));
    }
    let qkv = into_contiguous(qkv);
    let rows = qkv.meta.shape()[0];
    let [q, k, v] =
        [heads.query, heads.kv, heads.kv].map(|count| empty([rows, count * heads.dim], &qkv));
    let targets = [&q, &k, &v].map(|part| part.clone().into_buffer_arg());
    launch(&q, rows, [qkv.into_buffer_arg()], targets, table, heads, true);
    (q, k, v)
}

/// Rotates what [`pack`] has laid side by side; `inverse` turns back.
pub fn rotate(
    qkv: CubeTensor,
    table: (CubeTensor, CubeTensor),
    heads: Heads,
    inverse: bool,
) -> CubeTensor {
    let qkv = into_contiguous(qkv);
    let rows = qkv.meta.shape()[0];
    let turned = empty(qkv.meta.shape().clone(), &qkv);
    let target = turned.clone().into_buffer_arg();
    launch(&turned, rows, [qkv.into_buffer_arg()], [target], Some(table), heads, inverse);
    turned
}

/// Rotates from `sources` to `targets`: one tensor with all heads, or one each of queries, keys and values.
/// All are on the device of `like` and of its type.
fn launch<const S: usize, const T: usize>(
    like: &CubeTensor,
    rows: usize,
    sources: [BufferArg; S],
    targets: [BufferArg; T],
    table: Option<(CubeTensor, CubeTensor)>,
    heads: Heads,
    inverse: bool,
) {
    let half = heads.dim / 2;
    let vector = vector_size(half);
    let (count, dim, lanes) = spread_rows(&like.client, rows, heads.query * half / vector);
    let angle_dtype = table.as_ref().map_or(elem(like), |(cos, _)| elem(cos));
    let (cos, sin) = table
        .map(|table| <[CubeTensor; 2]>::from(table).map(into_contiguous))
        .map(|tables| <(BufferArg, BufferArg)>::from(tables.map(CubeTensor::into_buffer_arg)))
        .unzip();
    // SAFETY: the kernel stays within `rows` rows of the heads, and takes the position modulo the table.
    unsafe {
        rotary_kernel::launch_unchecked(
            &like.client,
            count,
            dim,
            vector,
            sources.into(),
            targets.into(),
            cos.into(),
            sin.into(),
            rows,
            half / vector,
            heads.query,
            heads.kv,
            inverse,
            lanes,
            [elem(like), angle_dtype],
        );
    }
}

/// The units of a row turn vectors of first halves with their second halves.
#[cube(launch_unchecked)]
fn rotary_kernel<F: Float, A: Float, N: Size>(
    sources: &Sequence<Box<[Vector<F, N>]>>,
    targets: &mut Sequence<Box<[Vector<F, N>]>>,
    cos: ComptimeOption<&[Vector<A, N>]>,
    sin: ComptimeOption<&[Vector<A, N>]>,
    rows: usize,
    #[comptime] half: usize,
    #[comptime] query_heads: usize,
    #[comptime] kv_heads: usize,
    #[comptime] inverse: bool,
    #[comptime] lanes: usize,
    #[define(F, A)] _dtypes: [ElemType; 2],
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let heads = comptime!(query_heads + 2 * kv_heads);
    let source_count = sources.len().comptime();
    let target_count = targets.len().comptime();
    #[unroll]
    for part in 0..3 {
        let begin = comptime!([0, query_heads, query_heads + kv_heads][part]);
        let count = comptime!([query_heads, kv_heads, kv_heads][part]);
        let apart = row * comptime!(2 * count * half);
        let together = (row * heads + begin) * comptime!(2 * half);
        for i in range_stepped(lane(lanes), comptime!(count * half), lanes) {
            let pair = i % half;
            // Its head's second half comes before the next head's first.
            let place = 2 * i - pair;
            let from = if comptime!(source_count == 3) { apart } else { together } + place;
            let source = sources.index(comptime!(part % source_count));
            let mut first = Vector::<f32, N>::cast_from(source[from]);
            let mut second = Vector::<f32, N>::cast_from(source[from + half]);
            // Values are not rotated.
            if comptime!(part < 2) {
                #[comptime]
                if let ComptimeOption::Some(cos) = cos {
                    let sin = sin.unwrap();
                    let angle = row * half % cos.len() + pair;
                    let cos = Vector::<f32, N>::cast_from(cos[angle]);
                    let mut sin = Vector::<f32, N>::cast_from(sin[angle]);
                    if comptime!(inverse) {
                        sin = -sin;
                    }
                    let turned = first * cos - second * sin;
                    second = second * cos + first * sin;
                    first = turned;
                }
            }
            let to = if comptime!(target_count == 3) { apart } else { together } + place;
            let target = targets.index_mut(comptime!(part % target_count));
            target[to] = Vector::cast_from(first);
            target[to + half] = Vector::cast_from(second);
        }
    }
}
