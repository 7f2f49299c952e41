//! Shared by the CPU kernels: vector instructions, threads, sums and matrix products over slices.
//!
//! Results are the same bits for any number of threads: work is either independent for each element, or summed over
//! blocks whose bounds depend on the sizes alone.

pub mod tensor;

use std::sync::OnceLock;

use gemm::Parallelism;
use rayon::prelude::*;

/// The instruction set of this machine, detected once.
pub fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(pulp::Arch::new)
}

/// Declares a function whose body is compiled once for each instruction set (AVX-512, AVX2, baseline); the best one is
/// chosen at run time. Functions that the body calls must be `#[inline(always)]` to be compiled with it.
macro_rules! vectorized {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block
    )*) => {$(
        $(#[$attribute])*
        $visibility fn $name($($argument: $kind),*) {
            struct Call<T>(T);
            impl pulp::NullaryFnOnce for Call<($($kind,)*)> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    let Call(($($argument,)*)) = self;
                    $body
                }
            }
            $crate::kernels::cpu::arch().dispatch(Call(($($argument,)*)))
        }
    )*};
}
pub(crate) use vectorized;

/// Floats whose copying justifies a task of its own: some microseconds, about the cost of waking a thread.
const GRAIN: usize = 1 << 17;

/// Returns how many of `rows` rows one task takes if a row costs as much as copying `row_cost` floats. For work whose
/// result does not depend on the split.
pub fn rows_per_task(rows: usize, row_cost: usize) -> usize {
    let threads = rayon::current_num_threads();
    let worth = rows * row_cost / GRAIN;
    let tasks = if threads == 1 || worth < 2 {
        1
    } else if worth < threads {
        worth
    } else {
        // A multiple of the threads, so that none idles at the end.
        threads * (worth / threads).min(4)
    };
    rows.div_ceil(tasks).max(1)
}

/// [`rows_per_task`] for sums over rows: depends on the sizes alone, so that the order of additions does.
pub fn rows_per_block(rows: usize, row_cost: usize) -> usize {
    let blocks = (4 * (rows * row_cost / GRAIN)).clamp(1, 64);
    rows.div_ceil(blocks).max(1)
}

/// Accumulators of a sum: the widest vector. The compiler keeps more of them in memory.
const LANES: usize = 16;

/// Folds `f(a[i], b[i])` with `merge`, which is associative and commutative up to rounding.
#[inline(always)]
fn fold(
    a: &[f32],
    b: &[f32],
    start: f32,
    merge: impl Fn(f32, f32) -> f32,
    f: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = merge(lanes[lane], f(a[lane], b[lane]));
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = merge(*lane, f(a, b));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = merge(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Returns the sum of `f(x)` over `x`.
#[inline(always)]
pub fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    fold(x, x, 0.0, |a, b| a + b, |x, _| f(x))
}

/// Returns the sum of `f(a, b)` over pairs.
#[inline(always)]
pub fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    fold(a, b, 0.0, |a, b| a + b, f)
}

/// Returns the largest element, ignoring NaN.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    fold(x, x, f32::NEG_INFINITY, |a, b| if b > a { b } else { a }, |x, _| x)
}

/// e^x within 2 ulp; 0 below the normal range, infinite from 88.4.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding it rounds to an integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bounded = if x > 89.0 { 89.0 } else { x };
    let bounded = if bounded < -87.3 { -87.3 } else { bounded };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = bounded - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let fraction = p * (r * r) + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { fraction * power }
}

/// tanh within 2 ulp.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_909e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    if size < 0.625 { small } else { large }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Adds each row of `rows [n, out.len()]` to `out`, in order.
#[inline(always)]
pub fn add_rows(out: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(out.len()) {
        for (out, &x) in out.iter_mut().zip(row) {
            *out += x;
        }
    }
}

vectorized! {
    fn add_block(out: &mut [f32], rows: &[f32]) {
        add_rows(out, rows);
    }
}

/// Sums the columns of `x [n, out.len()]`.
pub fn column_sums(x: &[f32], out: &mut [f32]) {
    let width = out.len();
    let block = width * rows_per_block(x.len() / width, width);
    out.fill(0.0);
    if x.len() <= block {
        return add_block(out, x);
    }
    let mut partial = vec![0.0; width * x.len().div_ceil(block)];
    partial.par_chunks_mut(width).zip(x.par_chunks(block)).for_each(|(out, x)| add_block(out, x));
    add_block(out, &partial);
}

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Creates a matrix of contiguous rows.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Creates a matrix whose rows begin `stride` apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(data.len() >= extent(rows, columns, stride), "a matrix reaches beyond its slice");
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Returns the transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Number of elements from the first of a matrix to its last.
fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1).saturating_mul(stride).saturating_add(columns)
}

/// Write mode of a matrix product: replace the output or add to it.
#[derive(Clone, Copy, PartialEq)]
pub enum Store {
    Replace,
    Add,
}

/// Computes `out = scale · a b`, or `out += …`, on one thread. The rows of `out` begin `stride` apart.
pub fn product(a: Matrix, b: Matrix, scale: f32, store: Store, out: &mut [f32], stride: usize) {
    multiply(a, b, scale, store, out, stride, Parallelism::None);
}

/// Computes `out = a b`, or `out += a b`, on all threads if the product is large enough.
pub fn parallel_product(a: Matrix, b: Matrix, store: Store, out: &mut [f32]) {
    // gemm splits the output, never a sum, so that the result is the same for any number of threads.
    let worth = a.rows * b.columns * a.columns >= 1 << 20;
    let several = worth && rayon::current_num_threads() > 1;
    let threads = if several { Parallelism::Rayon(0) } else { Parallelism::None };
    multiply(a, b, 1.0, store, out, b.columns, threads);
}

fn multiply(
    a: Matrix,
    b: Matrix,
    scale: f32,
    store: Store,
    out: &mut [f32],
    stride: usize,
    threads: Parallelism,
) {
    assert_eq!(a.columns, b.rows, "a product of matrices that do not fit");
    assert!(out.len() >= extent(a.rows, b.columns, stride), "an output reaches beyond its slice");
    assert!(stride >= b.columns || a.rows <= 1, "the rows of an output overlap");
    // SAFETY: `Matrix::strided` (which `t` permutes) and the assertions above keep all three matrices within
    // their slices, and the elements of `out`, borrowed alone, are distinct.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride as isize,
            store == Store::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            threads,
        );
    }
}
