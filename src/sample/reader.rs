//! A model that reads a text as it grows.

use crate::error::Result;
use crate::model::{Decoder, KvCache, TokenIds, read_floats};

/// A model, and what it has read of a text.
pub(super) struct Reader {
    pub(super) model: Decoder,
    cache: KvCache,
    /// How many of the text's tokens it has seen; its cache may hold only the last of them.
    seen: usize,
}

impl Reader {
    /// A model that has read nothing, with all of its context to read into.
    pub(super) fn new(model: Decoder) -> Self {
        let context = model.config().max_position_embeddings;
        let cache = KvCache::new(model.config(), 1, context, &model.device());
        Self { model, cache, seen: 0 }
    }

    /// How many tokens may follow a text of `length` before it is begun anew.
    pub(super) fn room(&self, length: usize) -> usize {
        self.cache.capacity().saturating_sub(self.cache.len() + length - self.seen)
    }

    /// Forgets what it has read of a text beyond its first `length` tokens.
    pub(super) fn keep(&mut self, length: usize) {
        let beyond = self.seen.saturating_sub(length);
        self.cache.truncate(self.cache.len().saturating_sub(beyond));
        self.seen -= beyond;
    }

    /// Reads on to the end of `text`; logits `[count, V]` after each of its last `count` tokens, which it has not
    /// read before.
    ///
    /// # Errors
    /// A lost device.
    pub(super) async fn read(&mut self, text: &[u32], count: usize) -> Result<Vec<f32>> {
        let capacity = self.cache.capacity();
        if self.cache.len() + text.len() - self.seen > capacity {
            self.seen = text.len() - (capacity / 2).max(1).min(text.len());
            self.cache.truncate(0);
        }
        let new = &text[self.seen..];
        let vocab = self.model.config().vocab_size;
        let ids = TokenIds::new(new, 1, vocab, &self.model.device())?;
        let stream = self.model.stream(ids, Some(&mut self.cache), None)?;
        self.seen = text.len();
        // Only these logits are looked at: the head is a large part of a small model.
        let logits = self.model.unembed(stream.slice_dim(0, new.len() - count..new.len()));
        read_floats(logits.reshape([count * vocab])).await
    }
}
