//! A decoder with its KV cache.

use crate::error::Result;
use crate::model::{Decoder, KvCache, TokenIds, read_floats};

/// A decoder with the KV cache of a text. Another text with the same prefix reuses the prefix's keys and values. The
/// cache is valid as long as the weights do not change.
pub struct CachedDecoder {
    pub(super) decoder: Decoder,
    cache: KvCache,
    /// Tokens in the cache.
    cached: Vec<u32>,
    /// Position of the first cached token in the text; above 0 once the text exceeded the context.
    start: usize,
}

impl From<Decoder> for CachedDecoder {
    /// Creates an empty KV cache for up to the model's context length. The model must not be on an autodiff device.
    fn from(model: Decoder) -> Self {
        let context = model.config().max_position_embeddings;
        let cache = KvCache::new(model.config(), 1, context, &model.device());
        Self { decoder: model, cache, cached: Vec::new(), start: 0 }
    }
}

impl CachedDecoder {
    /// Starts a new text, to which up to `new_tokens` will be added. Returns the length of the prefix that is already in the
    /// KV cache.
    pub(super) fn begin(&mut self, text: &[u32], new_tokens: usize) -> usize {
        let shared =
            self.cached.iter().zip(text).take_while(|(cached, token)| cached == token).count();
        self.start = 0;
        self.cache.expect(text.len().saturating_add(new_tokens));
        // The last token always takes a forward pass, for its logits.
        self.truncate(shared.min(text.len().saturating_sub(1)));
        self.cached.len()
    }

    /// Position in the text after the last cached token.
    fn end(&self) -> usize {
        self.start + self.cached.len()
    }

    /// Returns how many tokens may follow a text of `length` tokens before the cache is full.
    pub(super) fn room(&self, length: usize) -> usize {
        self.cache.capacity().saturating_sub(length - self.start)
    }

    /// Drops everything after the first `length` tokens of the text from the KV cache.
    pub(super) fn truncate(&mut self, length: usize) {
        self.start = self.start.min(length);
        self.cached.truncate(length - self.start);
        self.cache.truncate(self.cached.len());
    }

    /// Runs the model over the tokens of `text` that are not cached yet. Returns the logits `[count, V]` after each of
    /// its last `count` tokens, none of which may be cached.
    ///
    /// A text that exceeds the cache's capacity is prefilled again from its newer half.
    ///
    /// # Errors
    /// Returns an error if a logit is NaN or infinite, or the device was lost.
    pub(super) async fn forward(&mut self, text: &[u32], count: usize) -> Result<Vec<f32>> {
        let capacity = self.cache.capacity();
        if text.len() - self.start > capacity {
            self.truncate(0);
            self.start = text.len() - (capacity / 2).max(1).min(text.len());
        }
        let new = &text[self.end()..];
        let vocab = self.decoder.config().vocab_size;
        let ids = TokenIds::new(new, 1, vocab, &self.decoder.device())?;
        let residual = self.decoder.forward_residual(ids, Some(&mut self.cache), None)?;
        self.cached.extend(new);
        // The head is a large part of a small model, so it runs only where logits are needed.
        let logits = self.decoder.unembed(residual.slice_dim(0, new.len() - count..new.len()));
        let logits = read_floats(logits.reshape([count * vocab])).await?;
        self.decoder.require_finite(&logits).await?;
        Ok(logits)
    }
}
