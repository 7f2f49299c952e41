//! Windows of a corpus, and the batches made of them, by number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::mixture::{Draw, Mixture};
use super::order::{below, in_order, shuffle};
use super::packing::Packing;
use super::{Batch, BatchSource, Corpus, Tokens};
use crate::HAS_MIXTURES;
use crate::config::{DataConfig, DataKind, DataOrder};
use crate::error::Result;

/// Batches of a training corpus by number.
#[derive(Clone, Debug)]
pub struct Windows {
    corpus: Corpus,
    config: DataConfig,
    batch_size: usize,
    seed: u64,
    plan: Plan,
}

/// Rule by which windows are cut from the corpus.
#[derive(Clone, Debug)]
enum Plan {
    /// Anywhere inside a segment of text: the [`bounds`] of the window numbers.
    Inside(Vec<usize>),
    /// As `Inside`, from several sources by weight.
    Mixed(Mixture),
    /// Several whole conversations in each window.
    Packed(Packing),
    /// One window for each completion of this many preference pairs.
    Pairs(usize),
}

impl Windows {
    /// Plans the windows of `corpus`. `batch_size` counts examples: sequences, or preference pairs.
    ///
    /// # Errors
    /// The corpus is empty or shorter than one window.
    pub fn new(corpus: Corpus, config: &DataConfig, batch_size: usize, seed: u64) -> Result<Self> {
        corpus.require_window("the training text", config.seq_len)?;
        let plan = match corpus.kind {
            DataKind::Text if HAS_MIXTURES && !corpus.sources.is_empty() => {
                Plan::Mixed(Mixture::new(&corpus, config.seq_len, |part| bounds(part, config))?)
            }
            DataKind::Text => Plan::Inside(bounds(&corpus.segments, config)),
            DataKind::Conversations => Plan::Packed(Packing::new(&corpus, config.seq_len)),
            DataKind::Preferences => Plan::Pairs(corpus.segments.len() / 2),
        };
        Ok(Self { corpus, config: config.clone(), batch_size, seed, plan })
    }

    /// Returns the corpus.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Returns the number of batches in one pass over the corpus.
    pub fn batches_per_epoch(&self) -> u64 {
        let windows = match (&self.plan, self.config.order) {
            (Plan::Inside(_) | Plan::Mixed(_), DataOrder::Random) => {
                self.corpus.len() / self.config.seq_len
            }
            _ => self.count(),
        };
        (windows.div_ceil(self.batch_size) as u64).max(1)
    }

    /// Returns batch `number`, of the batch size given to [`Self::new`].
    pub fn batch(&self, number: u64) -> Batch {
        self.nth_batch(number, self.batch_size)
    }

    fn count(&self) -> usize {
        match &self.plan {
            Plan::Inside(bounds) => bounds.last().copied().unwrap_or(0),
            Plan::Mixed(mixture) => mixture.count(),
            Plan::Packed(packing) => packing.count(),
            Plan::Pairs(count) => *count,
        }
    }
}

impl BatchSource for Windows {
    fn nth_batch(&self, number: u64, examples: usize) -> Batch {
        let tokens = self.config.seq_len;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut batch = Batch::empty(tokens);
        for row in 0..examples as u64 {
            // The number comes from a file and may be any.
            let drawn = u128::from(number) * examples as u128 + u128::from(row);
            if HAS_MIXTURES && let Plan::Mixed(mixture) = &self.plan {
                let Draw { segment, window } = mixture.draw(drawn, self.config.order, self.seed);
                let stride = if self.config.order == DataOrder::Random { 1 } else { tokens };
                batch.push_window(&self.corpus, segment, window * stride);
                continue;
            }
            let (window, stride) = match self.config.order {
                DataOrder::Random => (below(rng.next_u64(), self.count()), 1),
                DataOrder::Sequential => (in_order(drawn, self.count(), self.seed), tokens),
            };
            match &self.plan {
                Plan::Inside(bounds) => {
                    let segment = bounds.partition_point(|first| *first <= window) - 1;
                    batch.push_window(&self.corpus, segment, (window - bounds[segment]) * stride);
                }
                Plan::Packed(packing) => {
                    let mut pieces = packing.window(window).to_vec();
                    shuffle(&mut pieces, &mut rng);
                    batch.push_packed(&self.corpus, &pieces);
                }
                Plan::Pairs(_) => batch.push_pair(&self.corpus, window),
                // Was drawn above.
                Plan::Mixed(_) => {}
            }
        }
        batch
    }

    fn corpus(&self) -> Option<&Corpus> {
        Some(&self.corpus)
    }
}

/// Returns the number of the first window of each segment, followed by the number of all windows.
fn bounds(segments: &[Tokens], config: &DataConfig) -> Vec<usize> {
    let mut bounds = vec![0];
    for segment in segments {
        let windows = match config.order {
            DataOrder::Random => segment.len().saturating_sub(config.seq_len),
            DataOrder::Sequential => segment.len().saturating_sub(1) / config.seq_len,
        };
        bounds.push(bounds.last().copied().unwrap_or(0) + windows);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(lengths: &[u32]) -> Corpus {
        let mut next = 0;
        let segments = lengths
            .iter()
            .map(|len| {
                next += len;
                Tokens::from_ids((next - len..next).collect())
            })
            .collect();
        Corpus { segments, ..Default::default() }
    }

    #[test]
    fn sequential_epochs_draw_every_window_once_in_a_new_order_each_time() {
        let config = DataConfig { seq_len: 5, order: DataOrder::Sequential, ..Default::default() };
        let windows = Windows::new(corpus(&[101, 4, 51]), &config, 3, 7).unwrap();
        assert_eq!(windows.batches_per_epoch(), 10);
        let epoch = |number: u64| -> Vec<u32> {
            (10 * number..10 * (number + 1))
                .flat_map(|n| windows.batch(n).inputs.chunks(5).map(|w| w[0]).collect::<Vec<_>>())
                .collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        let expected: Vec<u32> =
            (0..20).map(|i| 5 * i).chain((0..10).map(|i| 105 + 5 * i)).collect();
        for mut starts in [first, second] {
            starts.sort_unstable();
            assert_eq!(starts, expected);
        }
    }

    #[test]
    fn batches_of_any_number_are_drawn() {
        for order in [DataOrder::Random, DataOrder::Sequential] {
            let config = DataConfig { seq_len: 5, order, ..Default::default() };
            let windows = Windows::new(corpus(&[101]), &config, 3, 7).unwrap();
            for number in [u64::MAX, u64::MAX - 1, u64::MAX / 3 + 1] {
                assert_eq!(windows.batch(number).rows, 3);
            }
        }
        let config = DataConfig { seq_len: 5, order: DataOrder::Sequential, ..Default::default() };
        let windows = Windows::new(corpus(&[101]), &config, 4, 7).unwrap();
        // An epoch of 5 batches has every window once, also where the number of windows drawn exceeds 64 bits.
        let first = u64::MAX / 5 * 5 - 5;
        let mut starts: Vec<u32> = (first..first + 5)
            .flat_map(|number| windows.batch(number).inputs.into_iter().step_by(5))
            .collect();
        starts.sort_unstable();
        assert_eq!(starts, (0..20).map(|window| 5 * window).collect::<Vec<u32>>());
    }

    #[test]
    fn random_windows_stay_inside_their_segment_and_reach_both_ends() {
        let config = DataConfig { seq_len: 4, ..Default::default() };
        let windows = Windows::new(corpus(&[9, 3, 7]), &config, 16, 1).unwrap();
        let mut starts: Vec<u32> = Vec::new();
        for number in 0..40 {
            let batch = windows.batch(number);
            for (inputs, targets) in batch.inputs.chunks(4).zip(batch.targets.chunks(4)) {
                assert!(inputs.iter().zip(targets).all(|(input, target)| input + 1 == *target));
                starts.push(inputs[0]);
            }
        }
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts, [0, 1, 2, 3, 4, 12, 13, 14]);
    }

    #[test]
    fn the_validation_split_is_the_one_of_nanogpt() {
        let (train, val) = corpus(&[1000, 115]).split(0.1);
        assert_eq!((train.len(), val.len()), (1003, 112));
    }
}
