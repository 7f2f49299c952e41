//! Rotary position embedding on GPUs.
//!
//! One kernel packs, unpacks and rotates. On a GPU, 32 to 256 units share a row; each moves a vector of a head's first
//! half together with that of its second half, so every number is read and written once. No shared memory.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::Slice;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{Heads, RotaryKernels, RotaryOps};
use crate::kernels::dispatch::Optional;
use crate::kernels::gpu::{dims, elem, empty, input, lane, output, row, spread_rows, vector_size};

fn pack(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    table: Option<(CubeTensor, CubeTensor)>,
    heads: Heads,
) -> CubeTensor {
    if !heads.dim.is_multiple_of(2) {
        // The kernel moves halves of heads. Odd heads are never rotated.
        return CubeBackend::float_cat(vec![q, k, v], 1);
    }
    let rows = dims(&q)[0];
    let qkv = empty([rows, heads.width()], &q);
    launch(&qkv, rows, [q, k, v].map(input), [output(&qkv)], table, heads, false);
    qkv
}

/// Undoes [`pack`]: returns queries, keys and values.
fn unpack(
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
    let rows = dims(&qkv)[0];
    let [q, k, v] =
        [heads.query, heads.kv, heads.kv].map(|count| empty([rows, count * heads.dim], &qkv));
    launch(&q, rows, [input(qkv)], [&q, &k, &v].map(output), table, heads, true);
    (q, k, v)
}

fn rotate(
    qkv: CubeTensor,
    table: (CubeTensor, CubeTensor),
    heads: Heads,
    inverse: bool,
) -> CubeTensor {
    let [rows, width] = dims(&qkv);
    let turned = empty([rows, width], &qkv);
    launch(&turned, rows, [input(qkv)], [output(&turned)], Some(table), heads, inverse);
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
    let (count, dim, lanes) = spread_rows(like, rows, heads.query * half / vector);
    let angle_dtype = table.as_ref().map_or(elem(like), |(cos, _)| elem(cos));
    let positions = table.as_ref().map_or(1, |(cos, _)| dims(cos)[0]);
    let (cos, sin) = table.unzip();
    // SAFETY: the kernel stays within `rows` rows of the heads, and takes the position modulo the table.
    unsafe {
        rotary_kernel::launch_unchecked(
            &like.client,
            count,
            dim,
            vector,
            sources.into(),
            targets.into(),
            cos.map(input).into(),
            sin.map(input).into(),
            rows,
            positions,
            half / vector,
            heads.query,
            heads.kv,
            [S, T],
            inverse,
            lanes,
            [elem(like), angle_dtype],
        );
    }
}

/// `sources` and `targets` are one packed tensor or three (queries, keys, values); `parts` says how many.
#[cube(launch_unchecked)]
fn rotary_kernel<F: Float, A: Float, N: Size>(
    sources: &Sequence<Box<[Vector<F, N>]>>,
    targets: &mut Sequence<Box<[Vector<F, N>]>>,
    cos: ComptimeOption<&[Vector<A, N>]>,
    sin: ComptimeOption<&[Vector<A, N>]>,
    rows: usize,
    positions: usize,
    #[comptime] half: usize,
    #[comptime] query_heads: usize,
    #[comptime] kv_heads: usize,
    #[comptime] parts: [usize; 2],
    #[comptime] inverse: bool,
    #[comptime] lanes: usize,
    #[define(F, A)] _dtypes: [ElemType; 2],
) {
    let row = row(lanes);
    if row >= rows {
        terminate!();
    }
    let heads = comptime!(query_heads + 2 * kv_heads);
    let [source_count, target_count] = comptime!(parts);
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
                    let angle = row % positions * half + pair;
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

impl RotaryOps for CubeBackend {
    fn rotary_pack(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> CubeTensor {
        pack(q, k, v, cos.into_option().zip(sin.into_option()), heads)
    }

    fn rotary_rotate(
        qkv: CubeTensor,
        cos: CubeTensor,
        sin: CubeTensor,
        heads: Heads,
        inverse: bool,
    ) -> CubeTensor {
        rotate(qkv, (cos, sin), heads, inverse)
    }
}

impl RotaryKernels for CubeBackend {
    fn rotary_unpack(
        qkv: CubeTensor,
        table: Option<(CubeTensor, CubeTensor)>,
        heads: Heads,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        unpack(qkv, table, heads)
    }
}
