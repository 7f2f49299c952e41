//! What becomes of the product of a query and a key. What an option costs is paid only where it is set.

use cubecl::prelude::*;

/// Options as the kernels take them.
#[derive(CubeType, CubeLaunch)]
pub struct Params {
    /// `T`.
    pub tokens: usize,
    scale: f32,
    soft_cap: ComptimeOption<f32>,
    window: ComptimeOption<usize>,
    random: ComptimeOption<Random>,
}

/// Dropout: which elements are kept, and what they are multiplied by.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Random {
    threshold: u32,
    key: u32,
    factor: f32,
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

    /// How a score grows with the product.
    pub fn slope(&self, score: f32) -> f32 {
        #[comptime]
        match self.soft_cap {
            ComptimeOption::Some(cap) => {
                let part = score / cap;
                self.scale * (1.0 - part * part)
            }
            ComptimeOption::None => self.scale,
        }
    }

    /// Whether the token at `query` sees the one at `key`.
    pub fn sees(&self, query: usize, key: usize) -> bool {
        #[comptime]
        match self.window {
            ComptimeOption::Some(window) => key <= query && query < key + window,
            ComptimeOption::None => key <= query,
        }
    }

    /// The first key that `query` sees.
    pub fn first_key(&self, query: usize) -> usize {
        #[comptime]
        match self.window {
            ComptimeOption::Some(window) => query + 1 - min(window, query + 1),
            ComptimeOption::None => 0usize.runtime(),
        }
    }

    /// The first query that no longer sees `key`.
    pub fn end_of_queries(&self, key: usize) -> usize {
        #[comptime]
        match self.window {
            ComptimeOption::Some(window) => min(key + window, self.tokens),
            ComptimeOption::None => self.tokens,
        }
    }

    /// `value` as dropout leaves it, where it belongs to the weight of `key` for the query that is number
    /// `query` of all sequences and heads.
    pub fn dropped(&self, value: f32, query: usize, key: usize) -> f32 {
        #[comptime]
        match &self.random {
            ComptimeOption::Some(random) => {
                let i = query as u32 * self.tokens as u32 + key as u32;
                select(hash(i ^ random.key) >= random.threshold, value * random.factor, 0.0)
            }
            ComptimeOption::None => value,
        }
    }
}

/// Where documents begin, `[B T]`: of each token the place in its sequence.
pub type Documents<'a> = ComptimeOption<&'a [i32]>;

/// Where the document of token number `row` of all sequences begins.
#[cube]
pub fn document(documents: &Documents<'_>, row: usize) -> usize {
    #[comptime]
    match documents {
        ComptimeOption::Some(documents) => documents[row] as usize,
        ComptimeOption::None => 0usize.runtime(),
    }
}

/// The first of a sequence's `tokens`, from row number `sequence` on, whose document begins after `key`: from there on
/// no query sees it.
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

/// Whether a query, whose document begins at `document`, sees `key` if it `sees` it in a sequence of one document.
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
