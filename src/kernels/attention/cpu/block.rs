//! Blocks of consecutive queries, and the keys that each query sees.

use std::ops::Range;

use crate::kernels::attention::Options;
use crate::kernels::cpu::Matrix;

/// Queries in a block: several times the 6 rows that gemm computes at once, yet few, since the scores that causality
/// hides are computed within a block.
const QUERIES: usize = 48;

/// Consecutive queries, and the keys that at least one of them sees.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    pub query: usize,
    pub queries: usize,
    pub key: usize,
    pub keys: usize,
    window: usize,
    causal: bool,
    /// Positions at which the documents of the sequence's tokens begin, `[tokens]`.
    documents: Option<&'a [i32]>,
    tokens: usize,
}

impl<'a> Block<'a> {
    /// All queries of sequence number `sequence`, whose documents begin at `documents [B T]`.
    pub fn all(
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
    pub fn visible(&self, i: usize) -> Range<usize> {
        let query = self.query + i;
        self.first_key(query) - self.key..self.end_of_keys(query) - self.key
    }

    /// Its keys in a transposed head, `[head_dim, tokens]`.
    pub fn key_columns<'h>(&self, head: &'h [f32], tokens: usize) -> Matrix<'h> {
        Matrix::strided(&head[self.key..], head.len() / tokens, self.keys, tokens)
    }
}
