//! From the product of a query and a key to its score, and which pairs there are. Options are compile-time constants: one
//! that is not set costs nothing.

use cubecl::prelude::*;

/// Options as the kernels take them.
#[derive(CubeType, CubeLaunch)]
pub struct Params {
    /// `T`.
    pub tokens: usize,
    /// Factor of the product of a query and a key.
    pub scale: f32,
    soft_cap: ComptimeOption<f32>,
    window: ComptimeOption<usize>,
    random: ComptimeOption<Random>,
    division: ComptimeOption<Division>,
    #[cube(comptime)]
    pub causal: bool,
}

/// Dropout: elements whose hash reaches `threshold` are kept and multiplied by `factor`.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Random {
    threshold: u32,
    key: u32,
    factor: f32,
}

/// The place of the heads among those of all ranks, if ranks divide them.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Division {
    /// `H`.
    heads: u32,
    /// Heads before these.
    before: u32,
    /// Heads of other ranks.
    others: u32,
}

#[cube]
impl Params {
    /// The score of a product of query and key.
    pub fn score(&self, product: f32) -> f32 {
        let score = product * self.scale;
        #[comptime]
        match self.soft_cap {
            ComptimeOption::Some(cap) => cap * (score / cap).tanh(),
            ComptimeOption::None => score,
        }
    }

    /// Derivative of the score with respect to the product.
    pub fn slope(&self, score: f32) -> f32 {
        #[comptime]
        match self.soft_cap {
            ComptimeOption::Some(_) => self.scale * self.slope_of_cap(score),
            ComptimeOption::None => self.scale,
        }
    }

    /// Derivative of the score with respect to the scaled product.
    pub fn slope_of_cap(&self, score: f32) -> f32 {
        #[comptime]
        match self.soft_cap {
            ComptimeOption::Some(cap) => {
                let part = score / cap;
                1.0 - part * part
            }
            ComptimeOption::None => 1.0f32.runtime(),
        }
    }

    /// Returns true if token `query` attends to token `key` in a sequence of one document. Both must exist.
    pub fn sees(&self, query: usize, key: usize) -> bool {
        if comptime!(self.causal) {
            #[comptime]
            match self.window {
                ComptimeOption::Some(window) => key <= query && query < key + window,
                ComptimeOption::None => key <= query,
            }
        } else {
            #[comptime]
            match self.window {
                ComptimeOption::Some(window) => key < query + window && query < key + window,
                ComptimeOption::None => true.runtime(),
            }
        }
    }

    /// The first key that `query` sees, documents aside.
    pub fn first_key(&self, query: usize) -> usize {
        #[comptime]
        match self.window {
            ComptimeOption::Some(window) => query + 1 - min(window, query + 1),
            ComptimeOption::None => 0usize.runtime(),
        }
    }

    /// Returns `sees`, restricted for a bidirectional query to keys before the end of its document, `ends[r]`. A causal query
    /// sees no token after itself anyway.
    pub fn before_end(
        &self,
        sees: bool,
        key: usize,
        ends: &Sequence<usize>,
        #[comptime] r: usize,
    ) -> bool {
        if comptime!(self.causal) {
            sees
        } else {
            // A bool of its own: with an index, `&&` would be a branch.
            let inside = key < ends[r];
            sees && inside
        }
    }

    /// The key after the last that `query` sees bidirectionally, documents aside.
    pub fn end_of_keys(&self, query: usize) -> usize {
        self.end_of_queries(query)
    }

    /// The first query that sees `key` bidirectionally, documents aside.
    pub fn first_query(&self, key: usize) -> usize {
        self.first_key(key)
    }

    /// The query after the last that sees `key`, documents aside.
    pub fn end_of_queries(&self, key: usize) -> usize {
        #[comptime]
        match self.window {
            ComptimeOption::Some(window) => min(key + window, self.tokens),
            ComptimeOption::None => self.tokens,
        }
    }

    /// The keys that a block of `len` queries from `block` on sees: the first, and the one after the last.
    pub fn keys_of(
        &self,
        documents: &Documents<'_>,
        sequence: usize,
        block: usize,
        #[comptime] len: usize,
    ) -> (usize, usize) {
        let last = min(block + len, self.tokens) - 1;
        let end = if comptime!(self.causal) {
            last + 1
        } else {
            let end = end_of_document(documents, sequence, last, self.tokens);
            min(self.end_of_keys(last), end)
        };
        (max(self.first_key(block), document(documents, sequence + block)), end)
    }

    /// The queries that see a block of `len` keys from `block` on: the first, and the one after the last.
    pub fn queries_of(
        &self,
        documents: &Documents<'_>,
        sequence: usize,
        block: usize,
        #[comptime] len: usize,
    ) -> (usize, usize) {
        let start = if comptime!(self.causal) {
            block
        } else {
            max(self.first_query(block), document(documents, sequence + block))
        };
        let last = block + comptime!(len - 1);
        let end = end_of_document(documents, sequence, last, self.tokens);
        (start, min(self.end_of_queries(last), end))
    }

    /// Applies dropout to `value`, which belongs to the weight of `key` for query number `query` of all sequences and
    /// heads.
    pub fn dropped(&self, value: f32, query: usize, key: usize) -> f32 {
        #[comptime]
        match &self.random {
            ComptimeOption::Some(random) => {
                let i = self.query_of_all_ranks(query) * self.tokens as u32 + key as u32;
                select(hash(i ^ random.key) >= random.threshold, value * random.factor, 0.0)
            }
            ComptimeOption::None => value,
        }
    }

    /// The number of a query of all sequences and heads among those of all ranks.
    fn query_of_all_ranks(&self, query: usize) -> u32 {
        let query = query as u32;
        #[comptime]
        match &self.division {
            ComptimeOption::Some(division) => {
                let tokens = self.tokens as u32;
                let sequence = query / (division.heads * tokens);
                query + tokens * (sequence * division.others + division.before)
            }
            ComptimeOption::None => query,
        }
    }
}

/// Position in its sequence at which each token's document begins, `[B T]`.
pub type Documents<'a> = ComptimeOption<&'a [i32]>;

/// Position at which the document of token number `row` of all sequences begins.
#[cube]
pub fn document(documents: &Documents<'_>, row: usize) -> usize {
    #[comptime]
    match documents {
        ComptimeOption::Some(documents) => documents[row] as usize,
        ComptimeOption::None => 0usize.runtime(),
    }
}

/// The end of the document of token `key` in the sequence of `tokens` that begins at row `sequence`: the first token
/// whose document begins after `key`.
#[cube]
pub fn end_of_document(
    documents: &Documents<'_>,
    sequence: usize,
    key: usize,
    tokens: usize,
) -> usize {
    #[comptime]
    match documents {
        ComptimeOption::Some(documents) => {
            let mut begin = min(key + 1, tokens);
            let mut end = tokens;
            while begin < end {
                let middle = (begin + end) / 2;
                if documents[sequence + middle] as usize <= key {
                    begin = middle + 1;
                } else {
                    end = middle;
                }
            }
            begin
        }
        ComptimeOption::None => tokens,
    }
}

/// Returns `sees`, restricted to keys in the query's document, which begins at `document`, if there are `documents`.
#[cube]
pub fn inside(sees: bool, key: usize, document: usize, #[comptime] documents: bool) -> bool {
    if comptime!(documents) { sees && key >= document } else { sees }
}

/// `lowbias32` (Wellons 2018).
#[cube]
fn hash(x: u32) -> u32 {
    let x = (x ^ (x >> 16)) * 0x21F0_AAAD;
    let x = (x ^ (x >> 15)) * 0x735A_2D97;
    x ^ (x >> 15)
}
