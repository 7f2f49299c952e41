//! Rotary position embedding and packing on the CPU.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{Heads, RotaryKernels, RotaryOps};
use crate::kernels::cpu::tensor::{Floats, build, slice};
use crate::kernels::cpu::{rows_per_task, vectorized};
use crate::kernels::dispatch::Optional;
use crate::kernels::span::span;

impl Heads {
    fn query_width(self) -> usize {
        self.query * self.dim
    }

    fn key_width(self) -> usize {
        self.kv * self.dim
    }
}

/// Cosines and sines of the angles, each `[tokens, dim / 2]`.
pub type CosSin<'a> = (&'a [f32], &'a [f32]);

/// Packs `q [n, heads · dim]` and `k`, `v` `[n, kv_heads · dim]` into `qkv`, rotating queries and keys if angles are
/// given.
fn forward([q, k, v]: [&[f32]; 3], qkv: &mut [f32], cos_sin: Option<CosSin>, heads: Heads) {
    let width = heads.width();
    let q_width = heads.query_width();
    let k_width = heads.key_width();
    let task = rows_per_task(qkv.len() / width, 2 * width);
    let tasks = (
        qkv.par_chunks_mut(task * width),
        q.par_chunks(task * q_width),
        k.par_chunks(task * k_width),
        v.par_chunks(task * k_width),
    );
    tasks.into_par_iter().enumerate().for_each(|(i, (qkv, q, k, v))| {
        pack(q, k, v, qkv, cos_sin, i * task, heads);
    });
}

vectorized! {
    fn pack(
        q: &[f32],
        k: &[f32],
        v: &[f32],
        qkv: &mut [f32],
        cos_sin: Option<CosSin<'_>>,
        first_row: usize,
        heads: Heads,
    ) {
        let q_width = heads.query_width();
        let k_width = heads.key_width();
        let inputs = q.chunks_exact(q_width).zip(k.chunks_exact(k_width));
        let inputs = inputs.zip(v.chunks_exact(k_width));
        let rows = inputs.zip(qkv.chunks_exact_mut(heads.width()));
        for (i, (((q, k), v), out)) in rows.enumerate() {
            let (out_q, out) = out.split_at_mut(q_width);
            let (out_k, out_v) = out.split_at_mut(k_width);
            let angles = Angles::at(cos_sin, first_row + i, heads);
            rotate(q, out_q, angles, 1.0);
            rotate(k, out_k, angles, 1.0);
            out_v.copy_from_slice(v);
        }
    }
}

/// Computes the gradients of `q`, `k` and `v` from that of `qkv`.
fn backward(dqkv: &[f32], [dq, dk, dv]: [&mut [f32]; 3], cos_sin: Option<CosSin>, heads: Heads) {
    let width = heads.width();
    let q_width = heads.query_width();
    let k_width = heads.key_width();
    let task = rows_per_task(dqkv.len() / width, 2 * width);
    let tasks = (
        dqkv.par_chunks(task * width),
        dq.par_chunks_mut(task * q_width),
        dk.par_chunks_mut(task * k_width),
        dv.par_chunks_mut(task * k_width),
    );
    tasks.into_par_iter().enumerate().for_each(|(i, (dqkv, dq, dk, dv))| {
        unpack(dqkv, dq, dk, dv, cos_sin, i * task, heads);
    });
}

vectorized! {
    fn unpack(
        dqkv: &[f32],
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
        cos_sin: Option<CosSin<'_>>,
        first_row: usize,
        heads: Heads,
    ) {
        let q_width = heads.query_width();
        let k_width = heads.key_width();
        let outputs = dq.chunks_exact_mut(q_width).zip(dk.chunks_exact_mut(k_width));
        let outputs = outputs.zip(dv.chunks_exact_mut(k_width));
        let rows = outputs.zip(dqkv.chunks_exact(heads.width()));
        for (i, (((dq, dk), dv), row)) in rows.enumerate() {
            let (row_q, row) = row.split_at(q_width);
            let (row_k, row_v) = row.split_at(k_width);
            let angles = Angles::at(cos_sin, first_row + i, heads);
            rotate(row_q, dq, angles, -1.0);
            rotate(row_k, dk, angles, -1.0);
            dv.copy_from_slice(row_v);
        }
    }
}

/// Rotates the queries and keys of a packed tensor, or with `inverse` (the backward pass) rotates them back.
fn rotate_packed(qkv: &[f32], out: &mut [f32], cos_sin: CosSin, heads: Heads, inverse: bool) {
    let width = heads.width();
    let direction = if inverse { -1.0 } else { 1.0 };
    let task = rows_per_task(qkv.len() / width, 2 * width);
    let tasks = out.par_chunks_mut(task * width).zip(qkv.par_chunks(task * width)).enumerate();
    tasks.for_each(|(i, (out, qkv))| rotate_rows(qkv, out, cos_sin, i * task, heads, direction));
}

vectorized! {
    fn rotate_rows(
        qkv: &[f32],
        out: &mut [f32],
        cos_sin: CosSin<'_>,
        first_row: usize,
        heads: Heads,
        direction: f32,
    ) {
        let rotated = heads.query_width() + heads.key_width();
        let rows = qkv.chunks_exact(heads.width()).zip(out.chunks_exact_mut(heads.width()));
        for (i, (row, out)) in rows.enumerate() {
            let angles = Angles::at(Some(cos_sin), first_row + i, heads);
            rotate(&row[..rotated], &mut out[..rotated], angles, direction);
            out[rotated..].copy_from_slice(&row[rotated..]);
        }
    }
}

/// Cosines and sines of one position, each `[dim / 2]`.
#[derive(Clone, Copy)]
struct Angles<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
}

impl<'a> Angles<'a> {
    /// Returns the angles of a row.
    #[inline(always)]
    fn at(cos_sin: Option<CosSin<'a>>, row: usize, heads: Heads) -> Option<Self> {
        let half = heads.dim / 2;
        cos_sin.map(|(cos, sin)| {
            // Rows are the tokens of one sequence after another.
            let start = row * half % cos.len();
            let own = start..start + half;
            Self { cos: &cos[own.clone()], sin: &sin[own] }
        })
    }
}

/// Rotates each head of a row by its position's angles: element `i` of its first half with element `i` of its
/// second. `direction`: 1, or -1 to rotate back.
#[inline(always)]
fn rotate(heads: &[f32], out: &mut [f32], angles: Option<Angles>, direction: f32) {
    let Some(Angles { cos, sin }) = angles else {
        return out.copy_from_slice(heads);
    };
    let half = cos.len();
    for (head, out) in heads.chunks_exact(2 * half).zip(out.chunks_exact_mut(2 * half)) {
        let (first, second) = head.split_at(half);
        let (out_first, out_second) = out.split_at_mut(half);
        let outs = out_first.iter_mut().zip(out_second);
        let angles = cos.iter().zip(sin);
        for (((out_a, out_b), (&a, &b)), (&cos, &sin)) in
            outs.zip(first.iter().zip(second)).zip(angles)
        {
            let sin = sin * direction;
            *out_a = a * cos - b * sin;
            *out_b = b * cos + a * sin;
        }
    }
}

impl RotaryOps for Flex {
    fn rotary_pack(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> FlexTensor {
        let _span = span("rotary");
        let n = q.shape()[0];
        let q = Floats::of(q);
        let k = Floats::of(k);
        let v = Floats::of(v);
        let cos = cos.into_option().map(Floats::of);
        let sin = sin.into_option().map(Floats::of);
        build([n, (heads.query + 2 * heads.kv) * heads.dim], |qkv| {
            let table = slice(&cos).zip(slice(&sin));
            forward([q.get(), k.get(), v.get()], qkv, table, heads);
        })
    }

    fn rotary_rotate(
        qkv: FlexTensor,
        cos: FlexTensor,
        sin: FlexTensor,
        heads: Heads,
        inverse: bool,
    ) -> FlexTensor {
        let _span = span("rotary");
        let shape = qkv.shape();
        let qkv = Floats::of(qkv);
        let cos = Floats::of(cos);
        let sin = Floats::of(sin);
        build(shape, |out| {
            rotate_packed(qkv.get(), out, (cos.get(), sin.get()), heads, inverse);
        })
    }
}

impl RotaryKernels for Flex {
    fn rotary_unpack(
        qkv: FlexTensor,
        table: Option<(FlexTensor, FlexTensor)>,
        heads: Heads,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let _span = span("rotary, backward");
        let n = qkv.shape()[0];
        let qkv = Floats::of(qkv);
        let table = table.map(|(cos, sin)| (Floats::of(cos), Floats::of(sin)));
        let query = heads.query * heads.dim;
        let kv = heads.kv * heads.dim;
        let [mut q, mut k, mut v] = [query, kv, kv].map(|width| vec![0.0; n * width]);
        let slices = table.as_ref().map(|(cos, sin)| (cos.get(), sin.get()));
        backward(qkv.get(), [&mut q, &mut k, &mut v], slices, heads);
        let rows = |values, width| FlexTensor::from_data(TensorData::new(values, [n, width]));
        (rows(q, query), rows(k, kv), rows(v, kv))
    }
}
