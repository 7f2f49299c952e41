//! Second stage of training: repeatedly merges the most frequent pair of neighbouring tokens.
//!
//! Of equally frequent pairs the one with the smallest ids is merged, as in Hugging Face's trainer, so the result is
//! unique. All distinct words are stored in one array, and a merge visits only the places where its pair occurs, so long
//! words are not scanned again.

use super::bytes_map::BytesMap;
use super::progress::{Progress, TrainProgress, TrainStage};
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A merge of BPE training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedMerge {
    /// Left token.
    pub left: u32,
    /// Right token.
    pub right: u32,
    /// Merged token.
    pub merged: u32,
    /// Occurrences of the pair in the training text at the time of the merge.
    pub count: u64,
}

/// Separator of words.
const GAP: u32 = u32::MAX;
/// Marks a place inside a token after its first. In the last place of a token the lower bits are the distance to its first
/// place.
const INSIDE: u32 = 1 << 31;
/// Merges between two progress reports.
const REPORT_EVERY: usize = 64;

/// The distinct words as symbols.
pub(super) struct Corpus {
    /// [`GAP`], then every word followed by [`GAP`]. The first place of a token holds its id.
    places: Vec<u32>,
    /// Word of each place.
    word_of: Vec<u32>,
    /// Occurrences of each word.
    counts: Vec<u64>,
}

/// Rules for joining two tokens.
pub(super) struct Joining<'a> {
    /// Prefix that the right token loses: `##` in WordPiece, empty in BPE.
    pub(super) prefix: &'a [u8],
    /// Tokens that must not be created: the special ones.
    pub(super) forbidden: &'a [Vec<u8>],
}

/// A pair of neighbouring tokens.
#[derive(Default)]
struct Pair {
    count: u64,
    /// Places where it occurs or once occurred; each is checked before merging.
    places: Vec<u32>,
    /// True if the pair waits to be added to the queue.
    fresh: bool,
}

type Key = (u32, u32);

impl Corpus {
    pub(super) fn with_capacity(words: usize, symbols: usize) -> Self {
        let mut places = Vec::with_capacity(words + symbols + 1);
        let mut word_of = Vec::with_capacity(words + symbols + 1);
        places.push(GAP);
        word_of.push(0);
        Self { places, word_of, counts: Vec::with_capacity(words) }
    }

    /// Adds a word of symbols (below 2^31) that occurs `count` times. A symbol of `None` separates its neighbours.
    ///
    /// # Errors
    /// Returns an error if all words together have 2^31 symbols or more, since a distance inside a token could then equal
    /// [`GAP`].
    pub(super) fn push(
        &mut self,
        symbols: impl Iterator<Item = Option<u32>>,
        count: u64,
    ) -> Result<()> {
        let word = self.counts.len() as u32;
        self.counts.push(count);
        self.places.extend(symbols.map(|symbol| symbol.unwrap_or(GAP)));
        self.places.push(GAP);
        self.word_of.resize(self.places.len(), word);
        if self.places.len() < INSIDE as usize {
            return Ok(());
        }
        Err(Error::config(
            "tokenizer training text",
            "its distinct words have more than 2^31 symbols in total",
            "train on a sample of it",
        ))
    }

    fn count_at(&self, place: usize) -> u64 {
        self.counts[self.word_of[place] as usize]
    }

    /// Returns every pair of neighbours with its count and its places in ascending order.
    fn pairs(&self) -> FxHashMap<Key, Pair> {
        let neighbours = || {
            let windows = self.places.windows(2).enumerate();
            windows.filter(|(_, pair)| pair[0] != GAP && pair[1] != GAP)
        };
        // A first pass counts, so that each list is allocated once.
        let mut sizes: FxHashMap<Key, u32> = FxHashMap::default();
        for (_, pair) in neighbours() {
            *sizes.entry((pair[0], pair[1])).or_default() += 1;
        }
        let list = |size| Pair { places: Vec::with_capacity(size as usize), ..Pair::default() };
        let mut pairs: FxHashMap<Key, Pair> =
            sizes.into_iter().map(|(key, size)| (key, list(size))).collect();
        for (place, neighbours) in neighbours() {
            let pair = pairs.entry((neighbours[0], neighbours[1])).or_default();
            pair.count += self.count_at(place);
            pair.places.push(place as u32);
        }
        pairs
    }

    /// Returns the first place of the token before the one at `place`; none at the start of a word.
    fn before(&self, place: usize) -> Option<usize> {
        match self.places[place - 1] {
            GAP => None,
            inside if inside >= INSIDE => Some(place - 1 - (inside - INSIDE) as usize),
            _ => Some(place - 1),
        }
    }
}

/// Merges until `vocab` has `limit` entries or no pair occurs `min_count` times. Returns the merges in order.
///
/// If two pairs spell the same token, both produce its id, and the second does not grow the vocabulary.
pub(super) fn learn(
    mut corpus: Corpus,
    vocab: &mut BytesMap,
    limit: usize,
    min_count: u64,
    joining: &Joining,
    progress: Progress,
) -> Result<Vec<LearnedMerge>> {
    let mut pairs = corpus.pairs();
    let mut queue: BinaryHeap<(u64, Reverse<Key>)> =
        pairs.iter().map(|(&key, pair)| (pair.count, Reverse(key))).collect();
    // Symbols that each token spans.
    let mut spans = vec![1u32; vocab.len()];
    let mut merges = Vec::new();
    let mut touched = Vec::new();
    let start = vocab.len();
    let total = limit.saturating_sub(start) as u64;
    let mut report = |done: usize| {
        let report = TrainProgress { stage: TrainStage::Merging, done: done as u64, total };
        if progress(report).is_break() { Err(Error::Cancelled) } else { Ok(()) }
    };
    report(0)?;
    while vocab.len() < limit
        && let Some((count, Reverse(key))) = queue.pop()
    {
        let Some(pair) = pairs.get(&key) else { continue };
        if pair.count != count {
            // The count has decreased since the pair was queued, so it is queued again with its new count.
            match pair.count {
                0 => drop(pairs.remove(&key)),
                now => queue.push((now, Reverse(key))),
            }
            continue;
        }
        if count < min_count.max(1) {
            break;
        }
        let Some(merged) = joining.join(vocab, key)? else { continue };
        let mut places = pairs.remove(&key).map(|pair| pair.places).unwrap_or_default();
        if merged as usize == spans.len() {
            spans.push(spans[key.0 as usize] + spans[key.1 as usize]);
        }
        merges.push(LearnedMerge { left: key.0, right: key.1, merged, count });
        // In a run of the same token (`aaaa`) the leftmost pair is merged first.
        places.sort_unstable();
        for place in places {
            corpus.merge_at(place as usize, key, merged, &spans, &mut pairs, &mut touched);
        }
        for key in touched.drain(..) {
            if let Some(pair) = pairs.get_mut(&key) {
                pair.fresh = false;
                queue.push((pair.count, Reverse(key)));
            }
        }
        if merges.len() % REPORT_EVERY == 0 {
            report(vocab.len() - start)?;
        }
    }
    report(vocab.len() - start)?;
    Ok(merges)
}

impl Corpus {
    /// Merges one occurrence, if it still exists, and updates the counts of the pairs around it.
    fn merge_at(
        &mut self,
        place: usize,
        (left, right): Key,
        merged: u32,
        spans: &[u32],
        pairs: &mut FxHashMap<Key, Pair>,
        touched: &mut Vec<Key>,
    ) {
        if self.places[place] != left {
            return;
        }
        let middle = place + spans[left as usize] as usize;
        if self.places[middle] != right {
            return;
        }
        let end = middle + spans[right as usize] as usize;
        let count = self.count_at(place);
        let mut lose = |key| {
            // The pair being merged is no longer in the table.
            if let Some(pair) = pairs.get_mut(&key) {
                pair.count -= count;
            }
        };
        let before = self.before(place).map(|at| (at, self.places[at]));
        let after = Some(self.places[end]).filter(|&id| id != GAP);
        if let Some((_, id)) = before {
            lose((id, left));
        }
        if let Some(id) = after {
            lose((right, id));
        }
        let mut gain = |key, at: usize| {
            let pair = pairs.entry(key).or_default();
            pair.count += count;
            pair.places.push(at as u32);
            if !pair.fresh {
                pair.fresh = true;
                touched.push(key);
            }
        };
        if let Some((at, id)) = before {
            gain((id, merged), at);
        }
        if let Some(id) = after {
            gain((merged, id), place);
        }
        self.places[place] = merged;
        self.places[middle] = INSIDE;
        self.places[end - 1] = INSIDE | (end - 1 - place) as u32;
    }
}

impl Joining<'_> {
    /// Returns the id of the joined token, or `None` if it is forbidden.
    fn join(&self, vocab: &mut BytesMap, (left, right): Key) -> Result<Option<u32>> {
        let (Some(left), Some(right)) = (vocab.get(left), vocab.get(right)) else {
            return Ok(None);
        };
        let right = right.strip_prefix(self.prefix).unwrap_or(right);
        let joined = [left, right].concat();
        if self.forbidden.contains(&joined) {
            return Ok(None);
        }
        vocab.insert(&joined).map(Some)
    }
}
