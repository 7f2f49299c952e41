//! Which tokens make batch number `n`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::packing::{Packing, Piece};
use super::{Corpus, Layout, Reference};
use crate::config::{DataConfig, DataOrder};
use crate::error::{Error, Result};

/// A target that does not count: padding, or the first token of another document.
pub const IGNORE: u32 = u32::MAX;

/// Equal rows of input ids and, one token later, their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `rows * tokens` ids, row by row.
    pub inputs: Vec<u32>,
    /// The next token of each; [`IGNORE`] where none counts.
    pub targets: Vec<u32>,
    /// Sequences.
    pub rows: usize,
    /// Tokens per sequence.
    pub tokens: usize,
    /// Where several documents stand in a sequence and must not see each other: of each input the place in its
    /// sequence at which its own begins.
    pub documents: Option<Vec<u32>>,
    /// Of preference pairs, two rows each, what they are measured against.
    pub reference: Option<Reference>,
}

impl Batch {
    /// A batch without rows yet.
    fn of(tokens: usize) -> Self {
        Self {
            inputs: Vec::new(),
            targets: Vec::new(),
            rows: 0,
            tokens,
            documents: None,
            reference: None,
        }
    }

    /// What its loss is the mean of: pairs, or targets that count.
    pub fn terms(&self) -> usize {
        if self.reference.is_some() { self.rows / 2 } else { self.counted() }
    }

    /// Targets that count.
    pub fn counted(&self) -> usize {
        self.targets.iter().filter(|id| **id != IGNORE).count()
    }

    /// Adds a row of pieces, padded to the batch's length. The padding is a document of its own.
    fn push_packed(&mut self, corpus: &Corpus, pieces: &[Piece]) {
        let begin = self.inputs.len();
        let documents = self.documents.get_or_insert_default();
        for piece in pieces {
            let Piece { part, start, tokens } = *piece;
            let place = (self.inputs.len() - begin) as u32;
            corpus.window(part, start, tokens, &mut self.inputs, &mut self.targets);
            documents.resize(self.inputs.len(), place);
        }
        let (place, end) = ((self.inputs.len() - begin) as u32, begin + self.tokens);
        documents.resize(end, place);
        self.inputs.resize(end, 0);
        self.targets.resize(end, IGNORE);
        self.rows += 1;
    }

    /// Adds a row for each answer of a pair.
    fn push_pair(&mut self, corpus: &Corpus, pair: usize) {
        let (first, end) = (2 * pair, 2 * pair + 2);
        for part in first..end {
            let tokens = corpus.parts[part].len().saturating_sub(1);
            self.push_packed(corpus, &[Piece { part, start: 0, tokens }]);
        }
        if let Some(reference) = &corpus.reference {
            let part = reference.part(first, end);
            match &mut self.reference {
                Some(all) => all.log_probabilities.extend(part.log_probabilities),
                None => self.reference = Some(part),
            }
        }
    }
}

/// Batches of a training corpus by number.
#[derive(Clone, Debug)]
pub struct Windows {
    corpus: Corpus,
    config: DataConfig,
    batch_size: usize,
    seed: u64,
    plan: Plan,
}

/// Where windows are.
#[derive(Clone, Debug)]
enum Plan {
    /// Inside the parts: their [`bounds`].
    Inside(Vec<usize>),
    /// Around whole conversations.
    Packed(Packing),
    /// Around so many pairs of answers.
    Pairs(usize),
}

impl Windows {
    /// # Errors
    /// A corpus that is empty or shorter than one window; pairs that are measured against nothing.
    pub fn new(corpus: Corpus, config: &DataConfig, batch_size: usize, seed: u64) -> Result<Self> {
        corpus.require_window("the training text", config.seq_len)?;
        let plan = match corpus.layout {
            Layout::Inside => Plan::Inside(bounds(&corpus, config)),
            Layout::Packed => Plan::Packed(Packing::new(&corpus, config.seq_len)),
            Layout::Pairs if corpus.reference.is_none() => {
                let problem =
                    "preference pairs are measured against the model that tuning begins with";
                return Err(Error::config("reference", problem, "fine-tune a model with them"));
            }
            Layout::Pairs => Plan::Pairs(corpus.parts.len() / 2),
        };
        Ok(Self { corpus, config: config.clone(), batch_size, seed, plan })
    }

    /// The corpus that they lie on.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Other batches from here on: still each a function of its number.
    pub fn set_batch_size(&mut self, batch_size: usize) {
        self.batch_size = batch_size;
    }

    /// Batches that make one pass over the tokens.
    pub fn batches_per_epoch(&self) -> u64 {
        let windows = match (&self.plan, self.config.order) {
            (Plan::Inside(_), DataOrder::Random) => self.corpus.len() / self.config.seq_len,
            _ => self.count(),
        };
        (windows.div_ceil(self.batch_size) as u64).max(1)
    }

    /// Batch number `number`.
    pub fn batch(&self, number: u64) -> Batch {
        let tokens = self.config.seq_len;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut batch = Batch::of(tokens);
        for row in 0..self.batch_size as u64 {
            let (window, stride) = match self.config.order {
                DataOrder::Random => (below(rng.next_u64(), self.count()), 1),
                DataOrder::Sequential => {
                    let drawn = number * self.batch_size as u64 + row;
                    let (epoch, place) = (drawn / self.count() as u64, drawn % self.count() as u64);
                    let key = self.seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    (permute(place, self.count() as u64, key) as usize, tokens)
                }
            };
            match &self.plan {
                Plan::Inside(bounds) => {
                    let part = bounds.partition_point(|first| *first <= window) - 1;
                    let start = (window - bounds[part]) * stride;
                    self.corpus.window(part, start, tokens, &mut batch.inputs, &mut batch.targets);
                    batch.rows += 1;
                }
                Plan::Packed(packing) => {
                    let mut pieces = packing.window(window).to_vec();
                    shuffle(&mut pieces, &mut rng);
                    batch.push_packed(&self.corpus, &pieces);
                }
                Plan::Pairs(_) => batch.push_pair(&self.corpus, window),
            }
        }
        batch
    }

    fn count(&self) -> usize {
        match &self.plan {
            Plan::Inside(bounds) => bounds.last().copied().unwrap_or(0),
            Plan::Packed(packing) => packing.count(),
            Plan::Pairs(count) => *count,
        }
    }
}

/// The first window number of each part, then the number of all windows.
fn bounds(corpus: &Corpus, config: &DataConfig) -> Vec<usize> {
    let mut bounds = vec![0];
    for part in &corpus.parts {
        let windows = match config.order {
            DataOrder::Random => part.len().saturating_sub(config.seq_len),
            DataOrder::Sequential => part.len().saturating_sub(1) / config.seq_len,
        };
        bounds.push(bounds.last().copied().unwrap_or(0) + windows);
    }
    bounds
}

/// Fisher and Yates' shuffle.
pub(super) fn shuffle<T>(list: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, below(rng.next_u64(), last + 1));
    }
}

/// A number below `bound` from 64 random bits (Lemire's multiplication; its bias is below 2^-32 here).
pub(super) fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

/// Place `index` of a seeded permutation of `0..count`, without storing it: a four-round Feistel network
/// over the next even power of two, walked until it lands inside (Black & Rogaway 2002).
fn permute(index: u64, count: u64, key: u64) -> u64 {
    let half_bits = (64 - (count - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half_bits) - 1;
    let mut value = index;
    loop {
        let (mut left, mut right) = (value >> half_bits, value & mask);
        for round in 0..4u64 {
            let mut mixed = right ^ key.rotate_left(16 * round as u32) ^ (round << 56);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (left, right) = (right, left ^ ((mixed ^ (mixed >> 31)) & mask));
        }
        value = (left << half_bits) | right;
        if value < count {
            return value;
        }
    }
}

/// Every token of `corpus` as a target once (but each part's first): non-overlapping windows of `seq_len`,
/// the last of each part shorter, in batches of up to `batch_size` equal rows.
/// Conversations stand packed in windows of `seq_len`, as in training, and pairs in two rows each; those tokens that
/// are learnt there are targets.
pub fn eval_batches(
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> Box<dyn Iterator<Item = Batch> + '_> {
    match corpus.layout {
        Layout::Inside => Box::new(batches_inside(corpus, seq_len, batch_size)),
        Layout::Packed => Box::new(packed_batches(corpus, seq_len, batch_size)),
        Layout::Pairs => Box::new(pair_batches(corpus, seq_len, batch_size)),
    }
}

fn pair_batches(corpus: &Corpus, seq_len: usize, batch_size: usize) -> impl Iterator<Item = Batch> {
    let (pairs, together) = (corpus.parts.len() / 2, batch_size.div_ceil(2));
    (0..pairs).step_by(together).map(move |first| {
        let mut batch = Batch::of(seq_len);
        for pair in first..pairs.min(first + together) {
            batch.push_pair(corpus, pair);
        }
        batch
    })
}

fn packed_batches(
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> impl Iterator<Item = Batch> {
    let packing = Packing::new(corpus, seq_len);
    (0..packing.count()).step_by(batch_size).map(move |first| {
        let mut batch = Batch::of(seq_len);
        for window in first..packing.count().min(first + batch_size) {
            batch.push_packed(corpus, packing.window(window));
        }
        batch
    })
}

fn batches_inside(
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> impl Iterator<Item = Batch> {
    corpus.parts.iter().enumerate().flat_map(move |(part, tokens)| {
        let targets = tokens.len().saturating_sub(1);
        let (full, rest) = (targets / seq_len, targets % seq_len);
        let groups = full.div_ceil(batch_size);
        let whole = (0..groups).map(move |group| {
            let first = group * batch_size;
            (first * seq_len, batch_size.min(full - first), seq_len)
        });
        let rest = (rest > 0).then_some((full * seq_len, 1, rest));
        whole.chain(rest).map(move |(start, rows, tokens)| {
            let mut batch = Batch { rows, ..Batch::of(tokens) };
            for row in 0..rows {
                let start = start + row * tokens;
                corpus.window(part, start, tokens, &mut batch.inputs, &mut batch.targets);
            }
            batch
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Tokens;
    use super::*;

    fn corpus(lengths: &[u32]) -> Corpus {
        let mut next = 0;
        let parts = lengths
            .iter()
            .map(|len| {
                next += len;
                Tokens::from_ids((next - len..next).collect())
            })
            .collect();
        Corpus { parts, ..Default::default() }
    }

    #[test]
    fn sequential_epochs_see_every_window_once_in_another_order_each_time() {
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
    fn random_windows_stay_inside_their_part_and_reach_both_ends() {
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
    fn evaluation_counts_every_target_once() {
        let corpus = corpus(&[23, 1, 2, 11]);
        let mut targets: Vec<u32> =
            eval_batches(&corpus, 4, 2).flat_map(|batch| batch.targets).collect();
        targets.sort_unstable();
        let expected: Vec<u32> = (1..23).chain([25]).chain(27..37).collect();
        assert_eq!(targets, expected);
    }

    #[test]
    fn the_token_after_a_document_is_no_target() {
        let mut corpus = Corpus::new(Tokens::from_ids(vec![1, 2, 0, 3, 4]));
        corpus.end_of_text = Some(0);
        let batch = eval_batches(&corpus, 4, 1).next().unwrap();
        assert_eq!(batch.targets, [2, 0, IGNORE, 4]);
        assert_eq!(batch.counted(), 3);
    }

    #[test]
    fn the_split_is_nanogpts() {
        let (train, val) = corpus(&[1000, 115]).split(0.1);
        assert_eq!((train.len(), val.len()), (1003, 112));
    }
}
