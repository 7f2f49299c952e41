//! The cache on the CPU.
//!
//! A task computes the query heads of one key/value head, for a block of queries and a span of keys. Scores are computed
//! for a few keys at a time, so that they and the keys stay in the processor's cache.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{KvCacheOps, Place};
use crate::kernels::attention::Options;
use crate::kernels::cpu::tensor::{Floats, build};
use crate::kernels::cpu::{Matrix, Store, exp, max, product, rows_per_task, sum, tanh, vectorized};
use crate::kernels::span::span;

/// Keys scored at a time: gemm multiplies few rows fastest with as few columns.
const KEYS: usize = 64;

/// Keys of a task. A constant, so that sums do not depend on the number of threads.
const SPAN: usize = 8 * KEYS;

/// Queries of a task at most, as in attention without a cache.
const QUERIES: usize = 48;

/// Copies keys and values of `qkv` to their position in `cache`.
fn write(cache: &mut [f32], qkv: &[f32], place: Place) {
    let Place { batch, tokens, heads, kv_heads, dim, capacity, start } = place;
    let width = place.width();
    for (i, head) in cache.chunks_exact_mut(capacity * dim).enumerate() {
        let part = i / (batch * kv_heads);
        let sequence = i / kv_heads % batch;
        let kv = i % kv_heads;
        let column = (heads + part * kv_heads + kv) * dim;
        let rows = qkv[sequence * tokens * width..].chunks_exact(width);
        let free = head[start * dim..].chunks_exact_mut(dim).take(tokens);
        free.zip(rows).for_each(|(to, row)| to.copy_from_slice(&row[column..column + dim]));
    }
}

/// One task. Its rows are the queries of its block for each head of the group.
struct Task {
    sequence: usize,
    kv: usize,
    /// Tokens of its queries, counted from the first new one.
    tokens: Range<usize>,
    /// Positions of its keys.
    keys: Range<usize>,
}

/// The tasks of a pass in their order.
struct Plan {
    place: Place,
    blocks: usize,
    spans: usize,
    first_span: usize,
    window: Option<usize>,
}

impl Plan {
    fn new(place: Place, window: Option<usize>) -> Self {
        let first_span = place.first_key(place.start, window) / SPAN;
        let blocks = place.tokens.div_ceil(QUERIES);
        Self { place, blocks, spans: place.end().div_ceil(SPAN) - first_span, first_span, window }
    }

    fn tasks(&self) -> usize {
        self.place.batch * self.place.kv_heads * self.blocks * self.spans
    }

    fn task(&self, index: usize) -> Task {
        let (rest, span) = (index / self.spans, index % self.spans);
        let (pair, block) = (rest / self.blocks, rest % self.blocks);
        let Place { tokens, kv_heads, start, .. } = self.place;
        let tokens = block * QUERIES..tokens.min((block + 1) * QUERIES);
        let first = (self.first_span + span) * SPAN;
        let seen = self.place.first_key(start + tokens.start, self.window)..start + tokens.end;
        let keys = first.max(seen.start)..(first + SPAN).min(seen.end);
        Task { sequence: pair / kv_heads, kv: pair % kv_heads, tokens, keys }
    }

    /// Rows of a task, at most.
    fn rows(&self) -> usize {
        self.place.group() * self.place.tokens.min(QUERIES)
    }

    /// Returns the tasks that have the row of `token` and `head`, and its index.
    fn row(&self, sequence: usize, token: usize, head: usize) -> (Range<usize>, usize) {
        let group = self.place.group();
        let block = token / QUERIES;
        let queries = self.place.tokens.min((block + 1) * QUERIES) - block * QUERIES;
        let pair = sequence * self.place.kv_heads + head / group;
        let first = (pair * self.blocks + block) * self.spans;
        (first..first + self.spans, head % group * queries + token % QUERIES)
    }
}

/// Result of a task for its rows: weighted sums of values, and the softmax's maxima and normalizers.
struct Part<'a> {
    sums: &'a mut [f32],
    maxima: &'a mut [f32],
    normalizers: &'a mut [f32],
}

impl<'a> Part<'a> {
    fn new(memory: &'a mut [f32], rows: usize, dim: usize) -> Self {
        let (sums, rest) = memory.split_at_mut(rows * dim);
        let (maxima, normalizers) = rest.split_at_mut(rows);
        Self { sums, maxima, normalizers }
    }

    /// Size in numbers.
    fn size(rows: usize, dim: usize) -> usize {
        rows * (dim + 2)
    }
}

/// Buffers of a thread.
#[derive(Default)]
struct Buffers {
    queries: Vec<f32>,
    scores: Vec<f32>,
}

/// Computes the attention of the queries of `qkv` to `cache`: `out [batch · tokens, heads · dim]`.
fn attend(qkv: &[f32], cache: &[f32], out: &mut [f32], place: Place, options: &Options) {
    let Place { tokens, heads, dim, .. } = place;
    let plan = Plan::new(place, options.window);
    let rows = plan.rows();
    let size = Part::size(rows, dim);
    let mut parts = vec![0.0; plan.tasks() * size];
    let cost = place.end().min(SPAN) * (2 * dim + rows * (8 + dim / 2));
    parts
        .par_chunks_mut(size)
        .with_min_len(rows_per_task(plan.tasks(), cost))
        .enumerate()
        .for_each_init(Buffers::default, |buffers, (index, memory)| {
            let task = plan.task(index);
            task.run(qkv, cache, Part::new(memory, rows, dim), buffers, place, options);
        });
    let row_cost = plan.spans * heads * dim;
    out.par_chunks_mut(heads * dim)
        .with_min_len(rows_per_task(place.batch * tokens, row_cost))
        .enumerate()
        .for_each(|(token, out)| {
            for (head, out) in out.chunks_exact_mut(dim).enumerate() {
                let (tasks, row) = plan.row(token / tokens, token % tokens, head);
                merge(&parts[tasks.start * size..tasks.end * size], rows, row, out);
            }
        });
}

impl Task {
    fn run(
        &self,
        qkv: &[f32],
        cache: &[f32],
        part: Part,
        buffers: &mut Buffers,
        place: Place,
        options: &Options,
    ) {
        let Place { batch, kv_heads, dim, capacity, start, .. } = place;
        let Buffers { queries, scores } = buffers;
        self.gather_queries(qkv, queries, place);
        let rows = queries.len() / dim;
        let Part { sums, maxima, normalizers } = part;
        maxima.fill(f32::NEG_INFINITY);
        let head = |part| ((part * batch + self.sequence) * kv_heads + self.kv) * capacity * dim;
        for first in self.keys.clone().step_by(KEYS) {
            let keys = KEYS.min(self.keys.end - first);
            let matrix = |part| Matrix::new(&cache[head(part) + first * dim..], keys, dim);
            scores.resize(rows * keys, 0.0);
            let q = Matrix::new(queries, rows, dim);
            product(q, matrix(0).t(), options.scale, Store::Replace, scores, keys);
            let window = Window {
                query: start + self.tokens.start,
                queries: self.tokens.len(),
                key: first,
                keys,
                width: options.window.unwrap_or(usize::MAX),
            };
            soften(scores, sums, maxima, normalizers, window, options.soft_cap);
            product(Matrix::new(scores, rows, keys), matrix(1), 1.0, Store::Add, sums, dim);
        }
    }

    /// Copies its queries to `to [rows, dim]`, since they are far apart in `qkv`.
    fn gather_queries(&self, qkv: &[f32], to: &mut Vec<f32>, place: Place) {
        let width = place.width();
        let dim = place.dim;
        let group = place.group();
        to.clear();
        for head in self.kv * group..(self.kv + 1) * group {
            for token in self.tokens.clone() {
                let from = (self.sequence * place.tokens + token) * width + head * dim;
                to.extend_from_slice(&qkv[from..from + dim]);
            }
        }
    }
}

/// A block of queries and keys. Each query sees the `width` keys up to its own position.
#[derive(Clone, Copy)]
struct Window {
    query: usize,
    queries: usize,
    key: usize,
    keys: usize,
    width: usize,
}

impl Window {
    /// Returns the keys, counted from the block's first, that row `i` sees.
    #[inline(always)]
    fn visible(&self, i: usize) -> Range<usize> {
        let end = self.query + i % self.queries + 1;
        let first = end.saturating_sub(self.width).saturating_sub(self.key).min(self.keys);
        first..end.saturating_sub(self.key).clamp(first, self.keys)
    }
}

vectorized! {
    /// Replaces `scores [rows, keys]` by exponentials relative to the largest score so far, and rescales earlier sums
    /// to it.
    fn soften(
        scores: &mut [f32],
        sums: &mut [f32],
        maxima: &mut [f32],
        normalizers: &mut [f32],
        window: Window,
        soft_cap: Option<f32>,
    ) {
        let dim = sums.len() / maxima.len();
        let rows = scores.chunks_exact_mut(window.keys).zip(sums.chunks_exact_mut(dim));
        let rows = rows.zip(maxima.iter_mut().zip(normalizers));
        for (i, ((scores, sums), (maximum, normalizer))) in rows.enumerate() {
            let visible = window.visible(i);
            scores[..visible.start].fill(0.0);
            scores[visible.end..].fill(0.0);
            let seen = &mut scores[visible];
            if seen.is_empty() {
                continue;
            }
            if let Some(cap) = soft_cap {
                seen.iter_mut().for_each(|score| *score = cap * tanh(*score / cap));
            }
            let top = max(seen).max(*maximum);
            let shrink = exp(*maximum - top);
            seen.iter_mut().for_each(|score| *score = exp(*score - top));
            *normalizer = *normalizer * shrink + sum(seen, |x| x);
            if shrink < 1.0 {
                sums.iter_mut().for_each(|sum| *sum *= shrink);
            }
            *maximum = top;
        }
    }

    /// Merges the results of the tasks in `parts` for one row.
    fn merge(parts: &[f32], rows: usize, row: usize, out: &mut [f32]) {
        let dim = out.len();
        let tasks = || parts.chunks_exact(rows * (dim + 2));
        let number = |part: &[f32], i: usize| part[rows * dim + i];
        let top = tasks().map(|part| number(part, row)).fold(f32::NEG_INFINITY, f32::max);
        let shrink = |part: &[f32]| exp(number(part, row) - top);
        let total: f32 = tasks().map(|part| shrink(part) * number(part, rows + row)).sum();
        out.fill(0.0);
        for part in tasks() {
            let factor = shrink(part) / total;
            for (out, sum) in out.iter_mut().zip(&part[row * dim..(row + 1) * dim]) {
                *out += factor * sum;
            }
        }
    }
}

impl KvCacheOps for Flex {
    fn cache_write(mut cache: FlexTensor, qkv: FlexTensor, start: usize) -> FlexTensor {
        let _span = span("cache, writing");
        let place = Place::new(&qkv.shape(), &cache.shape(), start);
        let qkv = Floats::of(qkv);
        cache = cache.to_contiguous();
        write(cache.storage_mut(), qkv.get(), place);
        cache
    }

    fn cache_attend(
        qkv: FlexTensor,
        cache: FlexTensor,
        start: usize,
        options: Options,
    ) -> FlexTensor {
        let _span = span("cache, attention");
        let place = Place::new(&qkv.shape(), &cache.shape(), start);
        let rows = qkv.shape()[0];
        let (qkv, cache) = (Floats::of(qkv), Floats::of(cache));
        build([rows, options.heads * options.head_dim], |out| {
            attend(qkv.get(), cache.get(), out, place, &options);
        })
    }
}
