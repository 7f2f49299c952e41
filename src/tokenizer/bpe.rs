//! Byte-pair encoding of one piece of text: applies the merge of lowest rank first, leftmost first.

use super::bytes_map::BytesMap;
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Rank of a pair that does not merge.
const NEVER: u32 = u32::MAX;
/// Id of a byte without a token.
const NONE: u32 = u32::MAX;
/// Pieces of up to this many symbols are merged by scanning for the lowest rank, which is quadratic but fast; longer ones
/// with a heap.
const SHORT: usize = 64;
/// Bytes of a token up to which pieces that equal it are looked up. Longer ones are rare, and finding out whether they may be
/// looked up would take longer than reading their file: texts of one letter make tokens of megabytes.
const LOOKED_UP: usize = 1024;

/// The result of merging two neighbours.
#[derive(Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// The merges of a vocabulary.
#[derive(Clone)]
pub(super) struct Merges(FxHashMap<u64, Merge>);

/// Byte-level BPE.
#[derive(Clone)]
pub(super) struct Bpe {
    byte_ids: [u32; 256],
    merges: Merges,
    /// By id: true if a piece equal to the token's text encodes to this token.
    whole: Vec<bool>,
    /// True if a piece in the vocabulary is one token without applying the merges.
    pub(super) ignore_merges: bool,
    /// Token of bytes that have none; without it they are errors.
    unknown: Option<u32>,
    /// True if several such bytes in a row are one token.
    pub(super) fuse_unknown: bool,
}

/// Buffers of one call of encode, so that pieces do not allocate.
#[derive(Default)]
pub(super) struct Scratch {
    symbols: Vec<Symbol>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

/// A token and its merge with its right neighbour.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    merge: Merge,
}

/// A token of a long piece. `next == usize::MAX` ends the list; a token that was merged into its left neighbour has no id.
#[derive(Clone, Copy)]
struct Link {
    id: u32,
    previous: usize,
    next: usize,
}

fn key(left: u32, right: u32) -> u64 {
    (left as u64) << 32 | right as u64
}

impl Bpe {
    /// Creates the encoder; see [`Merges::new`] for `merges`.
    pub(super) fn new(
        vocab: &BytesMap,
        merges: impl Iterator<Item = (u32, u32, u32, u32)>,
        ignore_merges: bool,
    ) -> Self {
        let byte_ids = std::array::from_fn(|byte| vocab.find(&[byte as u8]).unwrap_or(NONE));
        let merges = Merges::new(merges);
        let whole = vec![true; vocab.len()];
        let mut bpe =
            Self { byte_ids, merges, whole, ignore_merges, unknown: None, fuse_unknown: false };
        if !ignore_merges {
            bpe.find_whole(vocab);
        }
        bpe
    }

    /// Returns the encoder with a token for bytes that have none.
    pub(super) fn with_unknown(self, unknown: Option<u32>, fuse_unknown: bool) -> Self {
        Self { unknown, fuse_unknown, ..self }
    }

    /// Finds the tokens of up to [`LOOKED_UP`] bytes that the merges produce from their own text. Only these may be looked up
    /// directly; files do not guarantee it for all tokens.
    fn find_whole(&mut self, vocab: &BytesMap) {
        let mut scratch = Scratch::default();
        let mut ids = Vec::new();
        for (id, bytes) in vocab.iter() {
            ids.clear();
            self.whole[id as usize] = bytes.len() <= LOOKED_UP
                && self.merge(bytes, &mut scratch, &mut ids).is_ok()
                && ids == [id];
        }
    }

    pub(super) fn merges(&self) -> &Merges {
        &self.merges
    }

    /// Returns the encoder with only the first `count` merges.
    pub(super) fn truncated(&self, vocab: &BytesMap, count: usize) -> Self {
        Self::new(vocab, self.merges.ordered().into_iter().take(count), false)
            .with_unknown(self.unknown, self.fuse_unknown)
    }

    /// Appends the tokens of one piece.
    #[inline]
    pub(super) fn encode(
        &self,
        vocab: &BytesMap,
        piece: &[u8],
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        match vocab.find(piece) {
            Some(id) if self.whole[id as usize] => {
                ids.push(id);
                Ok(())
            }
            _ => self.merge(piece, scratch, ids),
        }
    }

    fn merge(&self, piece: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) -> Result<()> {
        let symbols = piece.iter().map(|&byte| self.byte_ids[byte as usize]);
        let Some(lacking) = symbols.clone().position(|id| id == NONE) else {
            self.merges.apply(symbols, scratch, ids);
            return Ok(());
        };
        let unknown = self.unknown.ok_or_else(|| Error::Unencodable {
            what: format!("the byte 0x{:02X}", piece[lacking]),
        })?;
        let mut symbols: Vec<u32> = symbols.collect();
        if self.fuse_unknown {
            symbols.dedup_by(|next, previous| *next == NONE && *previous == NONE);
        }
        let known = symbols.into_iter().map(|id| if id == NONE { unknown } else { id });
        self.merges.apply(known, scratch, ids);
        Ok(())
    }
}

impl Merges {
    /// Collects merges `(rank, left, right, merged)`. If a pair occurs twice, the later one counts, as in `tokenizers`.
    pub(super) fn new(merges: impl Iterator<Item = (u32, u32, u32, u32)>) -> Self {
        Self(merges.map(|(rank, left, right, id)| (key(left, right), Merge { rank, id })).collect())
    }

    /// Returns all merges `(rank, left, right, merged)` sorted by rank.
    pub(super) fn ordered(&self) -> Vec<(u32, u32, u32, u32)> {
        let merge =
            |(&key, merge): (&u64, &Merge)| (merge.rank, (key >> 32) as u32, key as u32, merge.id);
        let mut all: Vec<_> = self.0.iter().map(merge).collect();
        all.sort_unstable();
        all
    }

    /// Returns true if there are no merges.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Merges symbols, which are token ids, and appends the resulting tokens.
    #[inline]
    pub(super) fn apply(
        &self,
        symbols: impl ExactSizeIterator<Item = u32>,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) {
        if symbols.len() <= SHORT {
            self.merge_short(symbols, &mut scratch.symbols, ids);
        } else {
            self.merge_long(symbols, scratch, ids);
        }
    }

    #[inline]
    fn lookup(&self, left: u32, right: u32) -> Merge {
        self.0.get(&key(left, right)).copied().unwrap_or(Merge { rank: NEVER, id: NONE })
    }

    fn merge_short(
        &self,
        symbols: impl Iterator<Item = u32>,
        parts: &mut Vec<Symbol>,
        ids: &mut Vec<u32>,
    ) {
        parts.clear();
        let never = Merge { rank: NEVER, id: NONE };
        for (i, id) in symbols.enumerate() {
            if i > 0 {
                let left = &mut parts[i - 1];
                left.merge = self.lookup(left.id, id);
            }
            parts.push(Symbol { id, merge: never });
        }
        loop {
            // `min_by_key` returns the first of equal ranks, which is the leftmost.
            let best = parts.iter().enumerate().min_by_key(|(_, part)| part.merge.rank);
            let Some((at, &Symbol { merge, .. })) = best else { break };
            if merge.rank == NEVER {
                break;
            }
            parts.remove(at + 1);
            let right = parts.get(at + 1).map(|part| part.id);
            parts[at] =
                Symbol { id: merge.id, merge: right.map_or(never, |id| self.lookup(merge.id, id)) };
            if at > 0 {
                parts[at - 1].merge = self.lookup(parts[at - 1].id, merge.id);
            }
        }
        ids.extend(parts.iter().map(|part| part.id));
    }

    /// Same result in O(n log n), so that a long piece without spaces does not take minutes.
    fn merge_long(
        &self,
        symbols: impl ExactSizeIterator<Item = u32>,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) {
        let Scratch { links, queue, .. } = scratch;
        links.clear();
        queue.clear();
        let last = symbols.len() - 1;
        links.extend(symbols.enumerate().map(|(i, id)| Link {
            id,
            previous: i.wrapping_sub(1),
            next: if i == last { usize::MAX } else { i + 1 },
        }));
        let offer = |links: &[Link], queue: &mut BinaryHeap<_>, left: usize| {
            if let Some(right) = links.get(links[left].next) {
                let merge = self.lookup(links[left].id, right.id);
                if merge.rank != NEVER {
                    queue.push(Reverse((merge.rank, left)));
                }
            }
        };
        for left in 0..last {
            offer(links, queue, left);
        }
        while let Some(Reverse((rank, left))) = queue.pop() {
            let Link { id, previous, next } = links[left];
            let Some(&right) = links.get(next) else { continue };
            let merge = self.lookup(id, right.id);
            // The neighbours may have changed since the merge was queued. A token that was merged away has no id, so
            // nothing merges with it.
            if merge.rank != rank {
                continue;
            }
            links[left] = Link { id: merge.id, previous, next: right.next };
            links[next].id = NONE;
            if let Some(after) = links.get_mut(right.next) {
                after.previous = left;
            }
            offer(links, queue, left);
            if previous != usize::MAX {
                offer(links, queue, previous);
            }
        }
        let mut at = 0;
        while let Some(link) = links.get(at) {
            ids.push(link.id);
            at = link.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens `a`, `aa`, `aaaa`, … up to `2^count` letters.
    fn doubling(count: u32) -> (BytesMap, Bpe) {
        let mut vocab = BytesMap::default();
        let ids: Vec<u32> =
            (0..=count).map(|power| vocab.insert(&vec![b'a'; 1 << power]).unwrap()).collect();
        let merges = ids.windows(2).zip(0..).map(|(pair, rank)| (rank, pair[0], pair[0], pair[1]));
        let bpe = Bpe::new(&vocab, merges, false);
        (vocab, bpe)
    }

    #[test]
    fn long_tokens_are_found_by_their_merges() {
        let (vocab, bpe) = doubling(16);
        let looked_up = bpe.whole.iter().filter(|whole| **whole).count();
        // Those of up to 1024 letters, and nothing was merged to find out about others.
        assert_eq!((looked_up, vocab.len()), (11, 17));
        for length in [1, 1024, 1025, 1 << 16, (1 << 16) + 5] {
            let mut ids = Vec::new();
            bpe.encode(&vocab, &vec![b'a'; length], &mut Scratch::default(), &mut ids).unwrap();
            let spelled: usize = ids.iter().map(|id| vocab.get(*id).unwrap().len()).sum();
            assert_eq!((spelled, ids.len()), (length, length.count_ones() as usize));
        }
    }
}
