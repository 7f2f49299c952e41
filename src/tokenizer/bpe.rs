//! Byte-pair encoding of one piece of text: the merge of lowest rank first, leftmost first.

use super::bytes_map::BytesMap;
use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Rank of a pair that does not merge.
const NEVER: u32 = u32::MAX;
/// Id of a byte that has no token.
const NONE: u32 = u32::MAX;
/// Pieces up to this many symbols are merged by scanning for the lowest rank, which is quadratic but
/// fast; longer ones by a heap.
const SHORT: usize = 64;

/// What two neighbours become.
#[derive(Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// The merges of a vocabulary.
#[derive(Clone)]
pub(super) struct Merges(FxHashMap<u64, Merge>);

/// Byte-level BPE: what is merged begins as bytes.
#[derive(Clone)]
pub(super) struct Bpe {
    byte_ids: [u32; 256],
    merges: Merges,
    /// By id: whether a piece that is this token's text becomes this token.
    whole: Vec<bool>,
    /// Whether a piece that is in the vocabulary is taken whole, without a look at the merges.
    pub(super) ignore_merges: bool,
}

/// Buffers for one call of encode, so that pieces allocate nothing.
#[derive(Default)]
pub(super) struct Scratch {
    parts: Vec<Part>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

/// A token, and what it and its right neighbour become.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    merge: Merge,
}

/// A token of a long piece. `next == usize::MAX` ends the chain; a token merged away has no id.
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
    /// `merges` are those of [`Merges::new`].
    pub(super) fn new(
        vocab: &BytesMap,
        merges: impl Iterator<Item = (u32, u32, u32, u32)>,
        ignore_merges: bool,
    ) -> Self {
        let byte_ids = std::array::from_fn(|byte| vocab.find(&[byte as u8]).unwrap_or(NONE));
        let merges = Merges::new(merges);
        let mut bpe = Self { byte_ids, merges, whole: vec![true; vocab.len()], ignore_merges };
        if !ignore_merges {
            bpe.find_whole(vocab);
        }
        bpe
    }

    /// A token may be looked up at once only if the merges lead to it, which files do not promise.
    fn find_whole(&mut self, vocab: &BytesMap) {
        let (mut scratch, mut ids) = (Scratch::default(), Vec::new());
        for (id, bytes) in vocab.iter() {
            ids.clear();
            let merged = self.merge(bytes, &mut scratch, &mut ids);
            self.whole[id as usize] = merged.is_ok() && ids == [id];
        }
    }

    pub(super) fn merges(&self) -> &Merges {
        &self.merges
    }

    /// The same with the first `count` merges only.
    pub(super) fn truncated(&self, vocab: &BytesMap, count: usize) -> Self {
        Self::new(vocab, self.merges.ordered().into_iter().take(count), false)
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
        if let Some(byte) = piece.iter().find(|&&byte| self.byte_ids[byte as usize] == NONE) {
            return Err(Error::Unencodable { what: format!("the byte 0x{byte:02X}") });
        }
        self.merges.apply(piece.iter().map(|&byte| self.byte_ids[byte as usize]), scratch, ids);
        Ok(())
    }
}

impl Merges {
    /// `merges` are (rank, left, right, merged); of a pair given twice the later rank counts, as
    /// in `tokenizers`.
    pub(super) fn new(merges: impl Iterator<Item = (u32, u32, u32, u32)>) -> Self {
        Self(merges.map(|(rank, left, right, id)| (key(left, right), Merge { rank, id })).collect())
    }

    /// All merges as (rank, left, right, merged), in the order in which they apply.
    pub(super) fn ordered(&self) -> Vec<(u32, u32, u32, u32)> {
        let merge =
            |(&key, merge): (&u64, &Merge)| (merge.rank, (key >> 32) as u32, key as u32, merge.id);
        let mut all: Vec<_> = self.0.iter().map(merge).collect();
        all.sort_unstable();
        all
    }

    /// Whether there is nothing to merge.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends what symbols, which are tokens themselves, become.
    #[inline]
    pub(super) fn apply(
        &self,
        symbols: impl ExactSizeIterator<Item = u32>,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) {
        if symbols.len() <= SHORT {
            self.merge_short(symbols, &mut scratch.parts, ids);
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
        parts: &mut Vec<Part>,
        ids: &mut Vec<u32>,
    ) {
        parts.clear();
        let never = Merge { rank: NEVER, id: NONE };
        for (i, id) in symbols.enumerate() {
            if i > 0 {
                let left = &mut parts[i - 1];
                left.merge = self.lookup(left.id, id);
            }
            parts.push(Part { id, merge: never });
        }
        loop {
            // `min_by_key` keeps the first of equals: leftmost first.
            let best = parts.iter().enumerate().min_by_key(|(_, part)| part.merge.rank);
            let Some((at, &Part { merge, .. })) = best else { break };
            if merge.rank == NEVER {
                break;
            }
            parts.remove(at + 1);
            let right = parts.get(at + 1).map(|part| part.id);
            parts[at] =
                Part { id: merge.id, merge: right.map_or(never, |id| self.lookup(merge.id, id)) };
            if at > 0 {
                parts[at - 1].merge = self.lookup(parts[at - 1].id, merge.id);
            }
        }
        ids.extend(parts.iter().map(|part| part.id));
    }

    /// The same in O(n log n), so that a megabyte without a space does not hang.
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
            // The neighbours may have changed since this was queued. (A token merged away has no
            // id, so nothing merges with it.)
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
