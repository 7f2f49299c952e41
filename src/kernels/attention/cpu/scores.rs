//! Scores of a block of queries: soft cap, mask and dropout.

use std::ops::Range;

use crate::kernels::attention::{HeadDivision, Options};
use crate::kernels::cpu::tanh;
use crate::kernels::dropout::cpu::Mask;

/// Dropout of one head's probabilities.
#[derive(Clone, Copy)]
pub struct HeadMask {
    mask: Option<Mask>,
    start: u32,
    tokens: u32,
}

impl HeadMask {
    pub fn new(options: &Options, sequence: usize, head: usize) -> Self {
        let Options { heads, tokens, dropout, .. } = *options;
        let whole = HeadDivision { before: 0, all: heads };
        let division = dropout.and_then(|of| of.division).unwrap_or(whole);
        let head = sequence * division.all + division.before + head;
        let start = (head * tokens).wrapping_mul(tokens) as u32;
        let mask = dropout.map(|of| Mask::from(of.dropout));
        Self { mask, start, tokens: tokens as u32 }
    }

    /// Returns the mask, if any, and the index in it of the score of `query` and `key`.
    #[inline(always)]
    pub fn at(self, query: usize, key: usize) -> Option<(Mask, u32)> {
        let row = (query as u32).wrapping_mul(self.tokens).wrapping_add(key as u32);
        self.mask.map(|mask| (mask, self.start.wrapping_add(row)))
    }
}

/// Applies the soft cap, then hides all scores but `visible`.
#[inline(always)]
pub fn cap_and_mask(scores: &mut [f32], visible: Range<usize>, soft_cap: Option<f32>) {
    if let Some(cap) = soft_cap {
        for score in &mut *scores {
            *score = cap * tanh(*score / cap);
        }
    }
    scores[..visible.start].fill(f32::NEG_INFINITY);
    scores[visible.end..].fill(f32::NEG_INFINITY);
}
