//! Set of byte strings numbered by insertion order, used for vocabularies and for counted words. All strings share one
//! buffer, so an entry takes 8 bytes in addition to its text and its hash table slot.

use crate::error::{Error, Result};

/// A set of numbered byte strings.
#[derive(Clone, Default)]
pub(super) struct BytesMap {
    bytes: Vec<u8>,
    /// Start in `bytes` and length, by number; the length of an unused number is [`HOLE`].
    spans: Vec<(u32, u32)>,
    /// Hash table with open addressing: 0 for a free slot, else the hash in the upper half and the number plus 1 in the
    /// lower half.
    slots: Vec<u64>,
    /// Number of used slots.
    taken: usize,
}

const HOLE: u32 = u32::MAX;

impl BytesMap {
    /// Returns the highest number plus 1.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the total length of all strings in bytes.
    pub(super) fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the string with this number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&[u8]> {
        let &(start, length) = self.spans.get(number as usize)?;
        (length != HOLE).then(|| &self.bytes[start as usize..][..length as usize])
    }

    /// Returns the number of a string; none if it is absent or hidden.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slot(hash(key), key).ok()
    }

    /// Returns the number of a string, adding it if it is new.
    ///
    /// # Errors
    /// Returns an error if the strings exceed 4 GiB in total.
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

    /// Adds a string that [`Self::find`] does not return, for special tokens.
    pub(super) fn push_hidden(&mut self, key: &[u8]) -> Result<u32> {
        self.push(key)
    }

    /// Skips a number.
    pub(super) fn push_hole(&mut self) {
        self.spans.push((0, HOLE));
    }

    /// Returns all strings with their numbers, sorted by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.spans.len() as u32).filter_map(|number| Some((number, self.get(number)?)))
    }

    fn push(&mut self, key: &[u8]) -> Result<u32> {
        let full = || {
            Error::config(
                "tokenizer training text",
                "its distinct words exceed 4 GiB in total",
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

    /// Returns the number of a string, or the free slot for it as the error.
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

/// Hashes a short string, 8 bytes at a time, by folded multiplication as in wyhash.
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

/// Reads up to 8 bytes as a little-endian integer.
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
