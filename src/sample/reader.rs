//! A model that reads a text as it grows.

use crate::error::Result;
use crate::model::{Decoder, KvCache, TokenIds, read_floats};

/// A model with the keys and values of what it has read. One that has read a text reads another that begins alike from
/// where they part: it is for as long as the model's weights stay what they are.
pub struct Reader {
    pub(super) model: Decoder,
    cache: KvCache,
    /// The tokens in the cache.
    held: Vec<u32>,
    /// Where in the text they begin: later than at its first token once the context was full.
    start: usize,
}

impl From<Decoder> for Reader {
    /// A model that has read nothing, with all of its context to read into. It must not differentiate.
    fn from(model: Decoder) -> Self {
        let context = model.config().max_position_embeddings;
        let cache = KvCache::new(model.config(), 1, context, &model.device());
        Self { model, cache, held: Vec::new(), start: 0 }
    }
}

impl Reader {
    /// Begins a text. Returns how many of its tokens need not be read, since the last text began with them too.
    pub(super) fn begin(&mut self, text: &[u32]) -> usize {
        let alike = self.held.iter().zip(text).take_while(|(held, token)| held == token).count();
        self.start = 0;
        // The last token is read in any case: what comes next is asked for.
        self.keep(alike.min(text.len().saturating_sub(1)));
        self.held.len()
    }

    /// How many of the text's tokens it has seen.
    fn seen(&self) -> usize {
        self.start + self.held.len()
    }

    /// How many tokens may follow a text of `length` before it is begun anew.
    pub(super) fn room(&self, length: usize) -> usize {
        self.cache.capacity().saturating_sub(length - self.start)
    }

    /// Forgets what it has read of a text beyond its first `length` tokens.
    pub(super) fn keep(&mut self, length: usize) {
        self.start = self.start.min(length);
        self.held.truncate(length - self.start);
        self.cache.truncate(self.held.len());
    }

    /// Reads on to the end of `text`; logits `[count, V]` after each of its last `count` tokens, which it has not
    /// read before.
    ///
    /// # Errors
    /// A lost device.
    pub(super) async fn read(&mut self, text: &[u32], count: usize) -> Result<Vec<f32>> {
        let capacity = self.cache.capacity();
        if text.len() - self.start > capacity {
            self.keep(0);
            self.start = text.len() - (capacity / 2).max(1).min(text.len());
        }
        let new = &text[self.seen()..];
        let vocab = self.model.config().vocab_size;
        let ids = TokenIds::new(new, 1, vocab, &self.model.device())?;
        let stream = self.model.stream(ids, Some(&mut self.cache), None)?;
        self.held.extend(new);
        // Only these logits are looked at: the head is a large part of a small model.
        let logits = self.model.unembed(stream.slice_dim(0, new.len() - count..new.len()));
        read_floats(logits.reshape([count * vocab])).await
    }
}
