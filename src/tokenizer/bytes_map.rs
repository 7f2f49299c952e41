//! Byte strings numbered in the order of their insertion: the vocabulary, and the words counted
//! while training. All strings lie in one buffer, so an entry costs 8 bytes beside its text and
//! its place in the hash table.

use crate::error::{Error, Result};

/// A set of byte strings, each with a number.
#[derive(Clone, Default)]
pub(super) struct BytesMap {
    bytes: Vec<u8>,
    /// Start in `bytes` and length, by number; a length of [`HOLE`] marks a number nobody has.
    spans: Vec<(u32, u32)>,
    /// 0 for a free slot, else the hash in the upper half and the number plus one in the lower.
    slots: Vec<u64>,
    /// How many slots are taken.
    taken: usize,
}

const HOLE: u32 = u32::MAX;

impl BytesMap {
    /// One more than the highest number.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The bytes of all entries together.
    pub(super) fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The string with this number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let &(start, length) = self.spans.get(number as usize)?;
        (length != HOLE).then(|| &self.bytes[start as usize..][..length as usize])
    }

    /// The number of this string, unless it is absent or hidden.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slot(hash(key), key).ok()
    }

    /// The number of this string, which is added if it is new.
    /// Errors once the strings together pass 4 GiB.
    #[inline]
    pub(super) fn insert(&mut self, key: &[u8]) -> Result<u32> {
        if self.taken * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash(key);
        match self.slot(hash, key) {
            Ok(number) => Ok(number),
            Err(free) => {
                let number = self.push(key)?;
                self.slots[free] = (hash as u64) << 32 | (number as u64 + 1);
                self.taken += 1;
                Ok(number)
            }
        }
    }

    /// Adds a string that [`Self::find`] does not see: a special token.
    pub(super) fn push_hidden(&mut self, key: &[u8]) -> Result<u32> {
        self.push(key)
    }

    /// Leaves out one number.
    pub(super) fn push_hole(&mut self) {
        self.spans.push((0, HOLE));
    }

    /// All strings with their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.spans.len() as u32).filter_map(|number| Some((number, self.get(number)?)))
    }

    fn push(&mut self, key: &[u8]) -> Result<u32> {
        let full = || {
            Error::config(
                "tokenizer training text",
                "its distinct words together are larger than 4 GiB",
                "train on a sample of it",
            )
        };
        let start = u32::try_from(self.bytes.len()).map_err(|_| full())?;
        let length = u32::try_from(key.len()).ok().filter(|&n| n != HOLE).ok_or_else(full)?;
        let number = u32::try_from(self.spans.len()).map_err(|_| full())?;
        self.bytes.extend_from_slice(key);
        self.spans.push((start, length));
        Ok(number)
    }

    /// The number that a string has, or else the slot where it belongs.
    #[inline]
    fn slot(&self, hash: u32, key: &[u8]) -> std::result::Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if (slot >> 32) as u32 == hash {
                let number = slot as u32 - 1;
                if self.get(number) == Some(key) {
                    return Ok(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = (slot >> 32) as usize & (size - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }
}

/// A hash of a short string: 8 bytes at a time, folded by multiplication (as in wyhash).
#[inline]
fn hash(key: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = key.len() as u64 ^ 0xA076_1D64_78BD_642F;
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        state = fold(state ^ word(chunk), FACTOR);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        state = fold(state ^ word(rest), FACTOR);
    }
    (state ^ (state >> 32)) as u32
}

/// Up to 8 bytes as one number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match *bytes {
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        [a, b, c, d, ref rest @ ..] => {
            let high = rest.iter().rev().fold(0u64, |high, &byte| high << 8 | byte as u64);
            u32::from_le_bytes([a, b, c, d]) as u64 | high << 32
        }
        ref few => few.iter().rev().fold(0u64, |all, &byte| all << 8 | byte as u64),
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}
