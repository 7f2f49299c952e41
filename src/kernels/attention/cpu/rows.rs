//! Heads in the packed rows of queries, keys and values, and how tasks share them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::block::Block;
use crate::kernels::attention::Options;
use crate::kernels::cpu::{Matrix, rows_per_task, vectorized};

impl Options {
    /// Query heads of a key/value head.
    pub(super) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Number of (sequence, key/value head) pairs of one task.
    pub(super) fn pairs_per_task(&self) -> usize {
        let scores = self.group() * self.tokens * self.tokens;
        rows_per_task(self.batch * self.kv_heads, scores * (8 + self.head_dim / 2))
    }

    /// The columns of a head: query heads first, then key heads, then value heads.
    pub(super) fn columns(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }
}

/// The packed rows of one sequence.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    qkv: &'a [f32],
    options: &'a Options,
}

impl<'a> Rows<'a> {
    pub fn new(qkv: &'a [f32], sequence: usize, options: &'a Options) -> Self {
        let size = options.tokens * options.width();
        Self { qkv: &qkv[sequence * size..(sequence + 1) * size], options }
    }

    /// The queries of a block, `[queries, head_dim]`.
    pub fn queries(self, head: usize, block: Block) -> Matrix<'a> {
        let width = self.options.width();
        let start = block.query * width + self.options.columns(head).start;
        Matrix::strided(&self.qkv[start..], block.queries, self.options.head_dim, width)
    }

    /// Copies a head to `to [tokens, head_dim]`, since the rows of `qkv` are far apart in memory and every block of queries
    /// reads keys and values again.
    pub fn copy(self, head: usize, to: &mut Vec<f32>) {
        to.clear();
        for row in self.qkv.chunks_exact(self.options.width()) {
            to.extend_from_slice(&row[self.options.columns(head)]);
        }
    }

    /// Copies a head transposed to `to [head_dim, tokens]`, in the order in which the products for scores read it.
    pub fn transpose(self, head: usize, to: &mut Vec<f32>) {
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
pub fn sequences(tensor: &mut [f32], batch: usize) -> Vec<Mutex<&mut [f32]>> {
    let size = tensor.len() / batch;
    tensor.chunks_exact_mut(size).map(Mutex::new).collect()
}

/// Copies `from [rows, columns]` into `columns` of `to [rows, width]`.
pub fn copy_columns(from: &[f32], to: &Mutex<&mut [f32]>, width: usize, columns: Range<usize>) {
    let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, to) in from.chunks_exact(columns.len()).zip(to.chunks_exact_mut(width)) {
        to[columns.clone()].copy_from_slice(from);
    }
}
