//! Mixtures: windows of several sources, each with a share of the batches.
//!
//! Examples are numbered over all batches, and divided into blocks of 2^20. In each block every source has a fixed number of places,
//! by its weight; which they are is a permutation that is drawn for the block. So the source of an example, and how many examples its
//! source had before, are pure functions of seed and number: batches do not depend on the number of ranks, and a resumed run draws
//! those of an uninterrupted one.

use std::ops::Range;

use super::mix::mix;
use super::order::{below, in_order, permute};
use super::{Corpus, Tokens};
use crate::config::DataOrder;
use crate::error::{Error, Result};

/// Examples of a block.
const BLOCK: u64 = 1 << 20;

/// The sources of a corpus, and the places of each in a block.
#[derive(Clone, Debug)]
pub(super) struct Mixture(Vec<Lane>);

#[derive(Clone, Debug)]
struct Lane {
    /// Places in a block before it is permuted.
    places: Range<u64>,
    first_segment: usize,
    /// Number of the first window of each segment, followed by the number of all windows.
    bounds: Vec<usize>,
}

/// A window that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Draw {
    pub(super) segment: usize,
    /// Number of the window in its segment.
    pub(super) window: usize,
}

impl Mixture {
    /// Divides the places of a block among the sources of `corpus`. `bounds` returns the bounds of the windows of segments.
    ///
    /// # Errors
    /// A source is shorter than a window of `seq_len` tokens; its weight is less than a millionth of all.
    pub(super) fn new(
        corpus: &Corpus,
        seq_len: usize,
        bounds: impl Fn(&[Tokens]) -> Vec<usize>,
    ) -> Result<Self> {
        let weights: Vec<f64> = corpus.sources.iter().map(|share| share.weight).collect();
        let mut start = 0;
        let mut lanes = Vec::new();
        for (index, (share, count)) in corpus.sources.iter().zip(divide(&weights)).enumerate() {
            corpus.of_source(index).require_window(&share.name, seq_len)?;
            if count == 0 {
                let problem = format!("the weight {} of {} is too small", share.weight, share.name);
                return Err(Error::config(
                    "data",
                    problem,
                    "use at least a millionth of all weights",
                ));
            }
            lanes.push(Lane {
                places: start..start + count,
                first_segment: share.segments.start,
                bounds: bounds(&corpus.segments[share.segments.clone()]),
            });
            start += count;
        }
        Ok(Self(lanes))
    }

    /// Returns the number of windows of all sources.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(Lane::count).sum()
    }

    /// Returns the window of example `drawn`.
    pub(super) fn draw(&self, drawn: u128, order: DataOrder, seed: u64) -> Draw {
        let block = drawn / u128::from(BLOCK);
        let place = (drawn % u128::from(BLOCK)) as u64;
        let place = permute(place, BLOCK, mix(seed ^ mix(block as u64 + 1)));
        let index = self.0.partition_point(|lane| lane.places.end <= place);
        let lane = &self.0[index];
        let length = u128::from(lane.places.end - lane.places.start);
        // Number of the example among those of its source.
        let own = block * length + u128::from(place - lane.places.start);
        let seed = mix(seed ^ mix(index as u64 + 1));
        let window = match order {
            DataOrder::Random => below(mix(seed ^ mix(own as u64)), lane.count()),
            DataOrder::Sequential => in_order(own, lane.count(), seed),
        };
        let segment = lane.bounds.partition_point(|first| *first <= window) - 1;
        Draw { segment: lane.first_segment + segment, window: window - lane.bounds[segment] }
    }
}

impl Lane {
    fn count(&self) -> usize {
        self.bounds.last().copied().unwrap_or(0)
    }
}

/// Divides [`BLOCK`] places by weight: those left over go to the largest remainders.
fn divide(weights: &[f64]) -> Vec<u64> {
    let all: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / all * BLOCK as f64).collect();
    let mut counts: Vec<u64> = exact.iter().map(|share| *share as u64).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    let left = BLOCK.saturating_sub(counts.iter().sum());
    for index in order.into_iter().cycle().take(left as usize) {
        counts[index] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{BatchSource, Windows};
    use super::*;
    use crate::config::DataConfig;

    /// Sources of 101 and 4, 51 and 1000 tokens, with ids from 0, 1000 and 2000 on.
    fn corpus() -> Corpus {
        let tokens = |first: u32, count: u32| Tokens::from_ids((first..first + count).collect());
        let first = Corpus { segments: vec![tokens(0, 101), tokens(500, 4)], ..Corpus::default() };
        Corpus::mixed(vec![
            ("a".into(), 3.0, first),
            ("b".into(), 1.0, Corpus::new(tokens(1000, 51))),
            ("c".into(), 0.5, Corpus::new(tokens(2000, 1000))),
        ])
    }

    fn starts(windows: &Windows, batches: u64, examples: usize) -> Vec<u32> {
        let batch = |number| windows.nth_batch(number, examples).inputs.into_iter().step_by(5);
        (0..batches).flat_map(batch).collect()
    }

    #[test]
    fn every_source_has_its_share_and_batches_are_parts_of_one_sequence() {
        for order in [DataOrder::Random, DataOrder::Sequential] {
            let config = DataConfig { seq_len: 5, order, ..DataConfig::default() };
            let windows = Windows::new(corpus(), &config, 4, 7).unwrap();
            let all = starts(&windows, 3000, 12);
            // A step on 1, 2 or 3 ranks uses the same examples.
            assert_eq!(all, starts(&windows, 9000, 4));
            let share = |first: u32| {
                let own = all.iter().filter(|start| **start / 1000 == first).count();
                own as f64 / all.len() as f64
            };
            for (first, expected) in [(0, 3.0 / 4.5), (1, 1.0 / 4.5), (2, 0.5 / 4.5)] {
                assert!((share(first) - expected).abs() < 0.01, "{order:?}: {}", share(first));
            }
        }
    }

    #[test]
    fn places_are_divided_exactly_and_each_source_is_in_order() {
        assert_eq!(divide(&[1.0, 1.0, 2.0]).iter().sum::<u64>(), BLOCK);
        assert_eq!(divide(&[1.0, 3.0]), [BLOCK / 4, 3 * BLOCK / 4]);
        let third = divide(&[1.0, 1.0, 1.0]);
        assert!(third.iter().all(|count| count.abs_diff(BLOCK / 3) <= 1));
        // In whole epochs, a source has each of its windows once before any twice.
        let bounds = |segments: &[Tokens]| -> Vec<usize> {
            (0..=segments.len()).map(|end| 10 * end).collect()
        };
        let mixture = Mixture::new(&corpus(), 4, bounds).unwrap();
        let mut counts = BTreeMap::new();
        for drawn in 0..u128::from(BLOCK) {
            let draw = mixture.draw(drawn, DataOrder::Sequential, 7);
            *counts.entry(draw).or_insert(0) += 1;
        }
        let of_first = counts.iter().filter(|(draw, _)| draw.segment < 2);
        let epochs = 2 * BLOCK / 3 / 20;
        let of_first: Vec<u64> = of_first.map(|(_, count)| *count).collect();
        assert!(of_first.len() == 20 && of_first.iter().all(|count| count.abs_diff(epochs) <= 1));
        // The number of an example comes from a file and may be any.
        mixture.draw(u128::from(u64::MAX) * 1000, DataOrder::Random, 1);
    }

    #[test]
    fn a_source_that_is_too_short_is_named() {
        let mut parts = vec![("long".into(), 1.0, Corpus::new(Tokens::from_ids(vec![1; 100])))];
        parts.push(("short".into(), 1.0, Corpus::new(Tokens::from_ids(vec![1; 5]))));
        let config = DataConfig { seq_len: 5, ..DataConfig::default() };
        let problem = Windows::new(Corpus::mixed(parts), &config, 1, 0).unwrap_err().to_string();
        assert!(problem.contains("short has 5 tokens"), "{problem}");
    }

    #[test]
    fn each_source_is_split() {
        let (train, val) = corpus().split(0.1);
        let lengths = |corpus: &Corpus| -> Vec<usize> {
            (0..corpus.sources.len()).map(|index| corpus.of_source(index).len()).collect()
        };
        assert_eq!(lengths(&train), [94, 45, 900]);
        assert_eq!(lengths(&val), [11, 6, 100]);
        let (again, _) = corpus().split(0.1);
        assert_eq!(again.fingerprint(), train.fingerprint());
        let other = Corpus { sources: std::sync::Arc::default(), ..again };
        assert_ne!(other.fingerprint(), train.fingerprint());
    }
}
