//! Self-attention on the CPU.
//!
//! A task computes the query heads of one key/value head of one sequence, a block of queries at a time against all the
//! keys that these see, so that the softmax of a row needs no rescaling and a block's scores stay in the cache.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

use super::{AttentionKernels, AttentionOps, Options, Saved};
use crate::kernels::cpu::tensor::{Floats, build, ids};
use crate::kernels::cpu::{
    Matrix, Store, exp, max, product, rows_per_task, sum, sum2, tanh, vectorized,
};
use crate::kernels::dispatch::OptionalInts;
use crate::kernels::dropout::{Dropout, cpu::Mask};
use crate::kernels::span::span;

impl Options {
    /// Query heads of a key/value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Number of (sequence, key/value head) pairs of one task.
    fn pairs_per_task(&self) -> usize {
        let scores = self.group() * self.tokens * self.tokens;
        rows_per_task(self.batch * self.kv_heads, scores * (8 + self.head_dim / 2))
    }

    /// The columns of a head: query heads first, then key heads, then value heads.
    fn columns(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }
}

/// Queries in a block: several times the 6 rows that gemm computes at once, yet few, since the scores that causality
/// hides are computed within a block.
const QUERIES: usize = 48;

/// Consecutive queries, and the keys that at least one of them sees.
#[derive(Clone, Copy)]
struct Block<'a> {
    query: usize,
    queries: usize,
    key: usize,
    keys: usize,
    window: usize,
    causal: bool,
    /// Positions at which the documents of the sequence's tokens begin, `[tokens]`.
    documents: Option<&'a [i32]>,
    tokens: usize,
}

impl<'a> Block<'a> {
    /// All queries of sequence number `sequence`, whose documents begin at `documents [B T]`.
    fn all(
        sequence: usize,
        documents: Option<&'a [i32]>,
        options: &Options,
    ) -> impl Iterator<Item = Self> {
        let &Options { tokens, causal, .. } = options;
        let window = options.window.unwrap_or(tokens);
        let documents = documents.map(|all| &all[sequence * tokens..][..tokens]);
        (0..tokens).step_by(QUERIES).map(move |query| {
            let queries = QUERIES.min(tokens - query);
            let mut block =
                Self { query, queries, key: 0, keys: 0, window, causal, documents, tokens };
            block.key = block.first_key(query);
            block.keys = block.end_of_keys(query + queries - 1) - block.key;
            block
        })
    }

    /// The first key that `query` sees.
    #[inline(always)]
    fn first_key(&self, query: usize) -> usize {
        let document = self.documents.map_or(0, |begins| begins[query] as usize);
        (query + 1).saturating_sub(self.window).max(document)
    }

    /// The key after the last that `query` sees.
    #[inline(always)]
    fn end_of_keys(&self, query: usize) -> usize {
        if self.causal {
            return query + 1;
        }
        let document = self.documents.map_or(self.tokens, |begins| {
            // Later documents begin after the query.
            begins.partition_point(|begin| *begin as usize <= query)
        });
        query.saturating_add(self.window).min(document)
    }

    /// The keys, counted from the block's first one, that its query `i` sees.
    #[inline(always)]
    fn visible(&self, i: usize) -> Range<usize> {
        let query = self.query + i;
        self.first_key(query) - self.key..self.end_of_keys(query) - self.key
    }

    /// Its keys in a transposed head, `[head_dim, tokens]`.
    fn key_columns<'h>(&self, head: &'h [f32], tokens: usize) -> Matrix<'h> {
        Matrix::strided(&head[self.key..], head.len() / tokens, self.keys, tokens)
    }
}

/// The packed rows of one sequence.
#[derive(Clone, Copy)]
struct Rows<'a> {
    qkv: &'a [f32],
    options: &'a Options,
}

impl<'a> Rows<'a> {
    fn new(qkv: &'a [f32], sequence: usize, options: &'a Options) -> Self {
        let size = options.tokens * options.width();
        Self { qkv: &qkv[sequence * size..(sequence + 1) * size], options }
    }

    /// The queries of a block, `[queries, head_dim]`.
    fn queries(self, head: usize, block: Block) -> Matrix<'a> {
        let width = self.options.width();
        let start = block.query * width + self.options.columns(head).start;
        Matrix::strided(&self.qkv[start..], block.queries, self.options.head_dim, width)
    }

    /// Copies a head to `to [tokens, head_dim]`, since the rows of `qkv` are far apart in memory and every block of queries
    /// reads keys and values again.
    fn copy(self, head: usize, to: &mut Vec<f32>) {
        to.clear();
        for row in self.qkv.chunks_exact(self.options.width()) {
            to.extend_from_slice(&row[self.options.columns(head)]);
        }
    }

    /// Copies a head transposed to `to [head_dim, tokens]`, in the order in which the products for scores read it.
    fn transpose(self, head: usize, to: &mut Vec<f32>) {
        let &Options { tokens, head_dim, .. } = self.options;
        to.resize(tokens * head_dim, 0.0);
        transpose(&self.qkv[self.options.columns(head).start..], to, tokens, self.options.width());
    }
}

vectorized! {
    /// Transposes the first columns of `from`, whose rows are `width` apart, into `to [columns, tokens]`.
    fn transpose(from: &[f32], to: &mut [f32], tokens: usize, width: usize) {
        // A cache line of the output at a time.
        for first in (0..tokens).step_by(16) {
            let end = tokens.min(first + 16);
            for (column, to) in to.chunks_exact_mut(tokens).enumerate() {
                for (to, row) in to[first..end].iter_mut().zip(first..) {
                    *to = from[row * width + column];
                }
            }
        }
    }
}

/// Splits a tensor into its sequences. Heads of one sequence are interleaved: each is computed separately, then copied
/// under the sequence's lock.
fn sequences(tensor: &mut [f32], batch: usize) -> Vec<Mutex<&mut [f32]>> {
    let size = tensor.len() / batch;
    tensor.chunks_exact_mut(size).map(Mutex::new).collect()
}

/// Copies `from [rows, columns]` into `columns` of `to [rows, width]`.
fn copy_columns(from: &[f32], to: &Mutex<&mut [f32]>, width: usize, columns: Range<usize>) {
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, to) in from.chunks_exact(columns.len()).zip(to.chunks_exact_mut(width)) {
        to[columns.clone()].copy_from_slice(from);
    }
}

/// Computes `out [batch · tokens, heads · head_dim]` of `qkv [batch · tokens, (heads + 2 · kv_heads) · head_dim]`, and for
/// the backward pass `lse [batch · heads · tokens]`, the log-normalizers.
fn forward(
    qkv: &[f32],
    documents: Option<&[i32]>,
    out: &mut [f32],
    lse: &mut [f32],
    options: &Options,
) {
    let &Options { batch, tokens, heads, kv_heads, head_dim, .. } = options;
    if out.is_empty() {
        return;
    }
    let group = options.group();
    let outs = sequences(out, batch);
    let pairs = lse.par_chunks_mut(group * tokens).enumerate();
    let pairs = pairs.with_min_len(options.pairs_per_task());
    pairs.for_each_init(Forward::default, |Forward { scores, k_t, v, out }, (pair, lse)| {
        let (sequence, kv) = (pair / kv_heads, pair % kv_heads);
        let rows = Rows::new(qkv, sequence, options);
        rows.transpose(heads + kv, k_t);
        rows.copy(heads + kv_heads + kv, v);
        out.resize(tokens * head_dim, 0.0);
        for (i, lse) in lse.chunks_exact_mut(tokens).enumerate() {
            let query = kv * group + i;
            let mask = HeadMask::new(options.dropout, sequence * heads + query, tokens);
            for block in Block::all(sequence, documents, options) {
                let Block { query: first, queries, key, keys, .. } = block;
                scores.resize(queries * keys, 0.0);
                let (q, k_t) = (rows.queries(query, block), block.key_columns(k_t, tokens));
                product(q, k_t, options.scale, Store::Replace, scores, keys);
                softmax(scores, &mut lse[first..first + queries], block, options.soft_cap, mask);
                let p = Matrix::new(scores, queries, keys);
                let v = Matrix::new(&v[key * head_dim..], keys, head_dim);
                product(p, v, 1.0, Store::Replace, &mut out[first * head_dim..], head_dim);
            }
            copy_columns(out, &outs[sequence], heads * head_dim, options.columns(query));
        }
    });
}

/// Buffers of a thread's forward pass.
#[derive(Default)]
struct Forward {
    scores: Vec<f32>,
    k_t: Vec<f32>,
    v: Vec<f32>,
    out: Vec<f32>,
}

/// Dropout of one head's probabilities.
#[derive(Clone, Copy)]
struct HeadMask {
    mask: Option<Mask>,
    start: u32,
    tokens: u32,
}

impl HeadMask {
    fn new(dropout: Option<Dropout>, head: usize, tokens: usize) -> Self {
        let start = (head * tokens).wrapping_mul(tokens) as u32;
        Self { mask: dropout.map(Mask::from), start, tokens: tokens as u32 }
    }

    /// Returns the mask, if any, and the index in it of the score of `query` and `key`.
    #[inline(always)]
    fn at(self, query: usize, key: usize) -> Option<(Mask, u32)> {
        let row = (query as u32).wrapping_mul(self.tokens).wrapping_add(key as u32);
        self.mask.map(|mask| (mask, self.start.wrapping_add(row)))
    }
}

/// Applies the soft cap, then hides all scores but `visible`.
#[inline(always)]
fn cap_and_mask(scores: &mut [f32], visible: Range<usize>, soft_cap: Option<f32>) {
    if let Some(cap) = soft_cap {
        for score in &mut *scores {
            *score = cap * tanh(*score / cap);
        }
    }
    scores[..visible.start].fill(f32::NEG_INFINITY);
    scores[visible.end..].fill(f32::NEG_INFINITY);
}

vectorized! {
    /// Replaces `scores [queries, keys]` by probabilities, dropout included.
    fn softmax(
        scores: &mut [f32],
        lse: &mut [f32],
        block: Block<'_>,
        soft_cap: Option<f32>,
        mask: HeadMask,
    ) {
        for (i, (row, lse)) in scores.chunks_exact_mut(block.keys).zip(lse).enumerate() {
            cap_and_mask(row, block.visible(i), soft_cap);
            let top = max(row);
            for score in &mut *row {
                *score = exp(*score - top);
            }
            let total = sum(row, |x| x);
            *lse = top + total.ln();
            let scale = 1.0 / total;
            match mask.at(block.query + i, block.key) {
                None => row.iter_mut().for_each(|p| *p *= scale),
                Some((mask, start)) => {
                    for (j, p) in row.iter_mut().enumerate() {
                        *p *= scale * mask.factor(start.wrapping_add(j as u32));
                    }
                }
            }
        }
    }
}

/// Arguments and results of the forward pass, and the gradient of its output.
#[derive(Clone, Copy)]
struct Slices<'a> {
    pub qkv: &'a [f32],
    pub out: &'a [f32],
    pub lse: &'a [f32],
    pub documents: Option<&'a [i32]>,
    pub dout: &'a [f32],
}

/// Writes the gradient of `qkv`.
fn backward(saved: Slices, dqkv: &mut [f32], options: &Options) {
    let &Options { batch, kv_heads, .. } = options;
    if dqkv.is_empty() {
        return;
    }
    let dqkvs = sequences(dqkv, batch);
    let pairs = (0..batch * kv_heads).into_par_iter().with_min_len(options.pairs_per_task());
    pairs.for_each_init(Backward::default, |scratch, pair| {
        let (sequence, kv) = (pair / kv_heads, pair % kv_heads);
        backward_pair(saved, &dqkvs[sequence], scratch, [sequence, kv], options);
    });
}

/// Buffers of a thread's backward pass.
#[derive(Default)]
struct Backward {
    scores: Vec<f32>,
    dscores: Vec<f32>,
    deltas: Vec<f32>,
    k: Vec<f32>,
    k_t: Vec<f32>,
    v_t: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// [`backward`] for the query heads of key/value head `kv` of one sequence.
fn backward_pair(
    saved: Slices,
    dqkv: &Mutex<&mut [f32]>,
    scratch: &mut Backward,
    [sequence, kv]: [usize; 2],
    options: &Options,
) {
    let &Options { tokens, heads, kv_heads, head_dim, .. } = options;
    let (width, out_width) = (options.width(), heads * head_dim);
    let Backward { scores, dscores, deltas, k, k_t, v_t, dq, dk, dv } = scratch;
    let rows = Rows::new(saved.qkv, sequence, options);
    rows.copy(heads + kv, k);
    rows.transpose(heads + kv, k_t);
    rows.transpose(heads + kv_heads + kv, v_t);
    dq.resize(tokens * head_dim, 0.0);
    for total in [&mut *dk, &mut *dv] {
        total.clear();
        total.resize(tokens * head_dim, 0.0);
    }
    for query in kv * options.group()..(kv + 1) * options.group() {
        let mask = HeadMask::new(options.dropout, sequence * heads + query, tokens);
        let lse = &saved.lse[(sequence * heads + query) * tokens..];
        for block in Block::all(sequence, saved.documents, options) {
            let Block { query: first, queries, key, keys, .. } = block;
            let q = rows.queries(query, block);
            let start = (sequence * tokens + first) * out_width + options.columns(query).start;
            let (out, dout) = (&saved.out[start..], &saved.dout[start..]);
            let dout_rows = Matrix::strided(dout, queries, head_dim, out_width);

            scores.resize(queries * keys, 0.0);
            let k_t = block.key_columns(k_t, tokens);
            product(q, k_t, options.scale, Store::Replace, scores, keys);
            dscores.resize(queries * keys, 0.0);
            let v_t = block.key_columns(v_t, tokens);
            product(dout_rows, v_t, 1.0, Store::Replace, dscores, keys);
            deltas.resize(queries, 0.0);
            row_products(out, dout, deltas, head_dim, out_width);
            softmax_backward(scores, dscores, &lse[first..], deltas, block, options.soft_cap, mask);

            let (p, ds) = (Matrix::new(scores, queries, keys), Matrix::new(dscores, queries, keys));
            let (own, seen) = (first * head_dim, key * head_dim);
            let k = Matrix::new(&k[seen..], keys, head_dim);
            product(ds, k, options.scale, Store::Replace, &mut dq[own..], head_dim);
            product(ds.t(), q, options.scale, Store::Add, &mut dk[seen..], head_dim);
            product(p.t(), dout_rows, 1.0, Store::Add, &mut dv[seen..], head_dim);
        }
        copy_columns(dq, dqkv, width, options.columns(query));
    }
    copy_columns(dk, dqkv, width, options.columns(heads + kv));
    copy_columns(dv, dqkv, width, options.columns(heads + kv_heads + kv));
}

vectorized! {
    /// Inner products of the rows of `a` and `b`, `dim` long and `stride` apart.
    fn row_products(a: &[f32], b: &[f32], out: &mut [f32], dim: usize, stride: usize) {
        for ((out, a), b) in out.iter_mut().zip(a.chunks(stride)).zip(b.chunks(stride)) {
            *out = sum2(&a[..dim], &b[..dim], |a, b| a * b);
        }
    }

    /// Replaces `scores [queries, keys]` by probabilities, dropout included, and their gradients `dscores` by those of the
    /// scores. `deltas` are the inner products of outputs and their gradients.
    fn softmax_backward(
        scores: &mut [f32],
        dscores: &mut [f32],
        lse: &[f32],
        deltas: &[f32],
        block: Block<'_>,
        soft_cap: Option<f32>,
        mask: HeadMask,
    ) {
        let rows = scores.chunks_exact_mut(block.keys).zip(dscores.chunks_exact_mut(block.keys));
        for (i, ((row, drow), (&lse, &delta))) in rows.zip(lse.iter().zip(deltas)).enumerate() {
            cap_and_mask(row, block.visible(i), soft_cap);
            if let Some((mask, start)) = mask.at(block.query + i, block.key) {
                for (j, (score, d)) in row.iter_mut().zip(&mut *drow).enumerate() {
                    let factor = mask.factor(start.wrapping_add(j as u32));
                    let p = exp(*score - lse);
                    *d = p * (*d * factor - delta) * slope(*score, soft_cap);
                    *score = p * factor;
                }
            } else {
                for (score, d) in row.iter_mut().zip(&mut *drow) {
                    let p = exp(*score - lse);
                    *d = p * (*d - delta) * slope(*score, soft_cap);
                    *score = p;
                }
            }
        }
    }
}

/// Returns the derivative of the soft-capped score; 0 if it is hidden.
#[inline(always)]
fn slope(score: f32, soft_cap: Option<f32>) -> f32 {
    match soft_cap {
        Some(cap) if score > f32::NEG_INFINITY => 1.0 - (score / cap) * (score / cap),
        Some(_) => 0.0,
        None => 1.0,
    }
}

impl AttentionOps for Flex {
    fn attend(qkv: FlexTensor, documents: OptionalInts<Self>, options: Options) -> FlexTensor {
        Self::attention_forward(qkv, documents.into_option(), &options).0
    }
}

impl AttentionKernels for Flex {
    fn attention_forward(
        qkv: FlexTensor,
        documents: Option<FlexTensor>,
        options: &Options,
    ) -> (FlexTensor, FlexTensor) {
        let _span = span("attention");
        let (qkv, documents) = (Floats::of(qkv), documents.as_ref().map(ids));
        let rows = options.batch * options.tokens;
        let mut log_normalizer = vec![0.0; rows * options.heads];
        let out = build([rows, options.heads * options.head_dim], |out| {
            forward(qkv.get(), documents, out, &mut log_normalizer, options);
        });
        let shape = [log_normalizer.len()];
        (out, FlexTensor::from_data(TensorData::new(log_normalizer, shape)))
    }

    fn attention_backward(saved: Saved<Self>, grad: FlexTensor) -> FlexTensor {
        let _span = span("attention, backward");
        let shape = saved.qkv.shape();
        let (qkv, out) = (Floats::of(saved.qkv), Floats::of(saved.out));
        let (lse, dout) = (Floats::of(saved.log_normalizer), Floats::of(grad));
        let documents = saved.documents.as_ref().map(ids);
        let saved_slices =
            Slices { qkv: qkv.get(), out: out.get(), lse: lse.get(), documents, dout: dout.get() };
        build(shape, |dqkv| backward(saved_slices, dqkv, &saved.options))
    }
}
