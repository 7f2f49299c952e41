//! A sequence of token ids, in memory or memory-mapped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Width of a token in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// 16 bits, little-endian, for vocabularies of up to 65,536 tokens.
    U16,
    /// 32 bits, little-endian.
    U32,
}

impl TokenWidth {
    /// Returns the number of bytes per token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// One contiguous sequence of token ids over bytes with shared ownership: a vector or a memory map.
#[derive(Clone)]
pub struct Tokens {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    width: TokenWidth,
    /// Byte offset of the first token.
    offset: usize,
    len: usize,
    /// Loss mask: true for tokens that are targets, from the first token of `bytes` on; all are if absent.
    loss_mask: Option<Arc<[bool]>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} x {:?})", self.len, self.width)
    }
}

impl Tokens {
    /// Wraps ids that are already in memory.
    pub fn from_ids(ids: Vec<u32>) -> Self {
        let len = ids.len();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Self { bytes: Arc::new(bytes), width: TokenWidth::U32, offset: 0, len, loss_mask: None }
    }

    /// Wraps `len` little-endian tokens of `width` that start at byte `offset`.
    pub(super) fn from_bytes(
        bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
        width: TokenWidth,
        offset: usize,
        len: usize,
    ) -> Self {
        Self { bytes, width, offset, len, loss_mask: None }
    }

    /// Wraps ids in memory of which only those with `true` in `loss_mask` count as targets.
    pub(super) fn masked(ids: Vec<u32>, loss_mask: Vec<bool>) -> Self {
        Self { loss_mask: Some(loss_mask.into()), ..Self::from_ids(ids) }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the sequence has no tokens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads tokens `start..end`, widened to 32 bits.
    pub fn read(&self, start: usize, end: usize) -> impl Iterator<Item = u32> {
        let size = self.width.bytes();
        let all = (*self.bytes).as_ref();
        let bytes = &all[self.offset + start * size..self.offset + end * size];
        bytes.chunks_exact(size).map(|token| match *token {
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => unreachable!("tokens are 2 or 4 bytes wide"),
        })
    }

    /// Tokens `start..end` as a sequence of their own, over the same bytes.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        let offset = self.offset + start * self.width.bytes();
        Self { offset, len: end - start, ..self.clone() }
    }

    /// Returns whether the loss mask lets the token at `position` count as a target.
    pub(super) fn is_target(&self, position: usize) -> bool {
        let first = self.offset / self.width.bytes();
        self.loss_mask.as_ref().is_none_or(|mask| mask[first + position])
    }
}
