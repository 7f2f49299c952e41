//! Logits to tokens, and tokens to a stream of text.

mod prediction;

pub use prediction::{Prediction, distribution};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::model::{Decoder, KvCache, TokenIds, read_floats};
use crate::tokenizer::{Message, StreamDecoder, Tokenizer};

/// A piece of generated text.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The characters that became certain with this token; may be empty.
    pub text: String,
    /// The token that was drawn.
    pub id: u32,
    /// What it was drawn from.
    pub prediction: Prediction,
    /// The decoder before the token: it tells what another one would have added.
    pub before: StreamDecoder,
    /// Whether this was the last piece.
    pub done: bool,
}

/// Generates text token by token.
///
/// When the context is full, the newer half of it is read again and generation goes on: what came before
/// is forgotten, as in any model with a finite context.
pub struct Generator {
    model: Decoder,
    decoder: StreamDecoder,
    config: SampleConfig,
    cache: KvCache,
    ids: Vec<u32>,
    /// Tokens at the end of `ids` that the cache has not seen.
    unseen: usize,
    produced: usize,
    /// Tokens that end the text.
    ends: Vec<u32>,
    /// Text that may yet turn out to begin a stop string.
    held: String,
    done: bool,
}

impl Generator {
    /// Prepares to continue `prompt` with `model`, which must not differentiate.
    ///
    /// # Errors
    /// Settings out of range; a prompt that the tokenizer cannot encode or the context cannot hold.
    pub fn new(
        model: Decoder,
        tokenizer: &Tokenizer,
        prompt: &str,
        config: &SampleConfig,
    ) -> Result<Self> {
        let mut ids = tokenizer.encode(prompt)?;
        if let Some(bos) = tokenizer.bos() {
            ids.insert(0, bos);
        }
        let mut generator = Self::from_ids(model, tokenizer, ids, config)?;
        if prompt.is_empty() {
            // What is written is a text of its own, not one that goes on.
            generator.decoder = tokenizer.stream_decoder();
        }
        Ok(generator)
    }

    /// Prepares to say what the assistant says next in a conversation. Also returns how many of the oldest
    /// messages were left out, so that up to half of the context stays free for the answer.
    ///
    /// # Errors
    /// Settings out of range; a tokenizer that knows no turns; a last message that the context cannot hold.
    pub fn answer(
        model: Decoder,
        tokenizer: &Tokenizer,
        messages: &[Message],
        config: &SampleConfig,
    ) -> Result<(Self, usize)> {
        let context = model.config().max_position_embeddings;
        let room = context - config.max_new_tokens.min(context / 2);
        let prompt = tokenizer.encode_chat(messages, room)?;
        let mut generator = Self::from_ids(model, tokenizer, prompt.ids, config)?;
        generator.decoder = tokenizer.stream_decoder();
        // No special token is something to say.
        generator.ends.extend(tokenizer.special_tokens().map(|(_, id)| id));
        Ok((generator, prompt.dropped))
    }

    /// Prepares to continue a prompt of tokens, which are taken as they are.
    ///
    /// # Errors
    /// Settings out of range; an id that the tokenizer does not have; more than the context can hold.
    pub fn from_ids(
        model: Decoder,
        tokenizer: &Tokenizer,
        mut ids: Vec<u32>,
        config: &SampleConfig,
    ) -> Result<Self> {
        config.validate()?;
        let c = model.config();
        let context = c.max_position_embeddings;
        if ids.len() > context {
            return Err(Error::ContextOverflow { tokens: ids.len(), context });
        }
        let mut decoder = tokenizer.stream_decoder();
        // The text goes on after the prompt: what continues a word must not look like a beginning.
        for id in &ids {
            decoder.push(*id)?;
        }
        if ids.is_empty() {
            // Nothing to go on from: begin where texts begin, at the end of another.
            let newline = tokenizer.encode("\n").ok().and_then(|ids| ids.first().copied());
            ids.push(c.bos_token_id.or(c.eos_token_id).or(newline).unwrap_or(0));
        }
        let cache = KvCache::new(c, 1, context, &model.device());
        Ok(Self {
            unseen: ids.len(),
            ends: c.eos_token_id.into_iter().collect(),
            model,
            decoder,
            config: config.clone(),
            cache,
            ids,
            produced: 0,
            held: String::new(),
            done: config.max_new_tokens == 0,
        })
    }

    /// Tokens generated so far.
    pub fn produced(&self) -> usize {
        self.produced
    }

    /// Prompt and generated ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The next token's piece of text; none when generation is over.
    ///
    /// # Errors
    /// A lost device.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        if self.done {
            return Ok(None);
        }
        let logits = self.logits().await?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(self.produced as u64);
        let random = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let prediction = Prediction::new(logits, &self.ids, &self.config);
        let id = prediction.choose(random);
        self.ids.push(id);
        self.unseen = 1;
        self.produced += 1;
        let before = self.decoder.clone();
        let ended = self.ends.contains(&id);
        self.done = ended || self.produced == self.config.max_new_tokens;
        if !ended {
            self.held.push_str(&self.decoder.push(id)?);
        }
        if self.done {
            self.held.push_str(&self.decoder.finish());
        }
        let stop = self.config.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = stop.filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            self.done = true;
        }
        let ready = if self.done { self.held.len() } else { self.certain() };
        let rest = self.held.split_off(ready);
        let text = std::mem::replace(&mut self.held, rest);
        Ok(Some(Piece { text, id, prediction, before, done: self.done }))
    }

    /// Logits after the last token.
    async fn logits(&mut self) -> Result<Vec<f32>> {
        let c = self.model.config();
        if self.cache.len() + self.unseen > self.cache.capacity() {
            self.unseen = (self.cache.capacity() / 2).max(1).min(self.ids.len());
            self.cache.truncate(0);
        }
        let new = &self.ids[self.ids.len() - self.unseen..];
        let vocab = c.vocab_size;
        let ids = TokenIds::new(new, 1, vocab, &self.model.device())?;
        let last = new.len() - 1;
        let stream = self.model.stream(ids, Some(&mut self.cache), None)?;
        // Only the last token's logits are looked at: the head is a large part of a small model.
        let logits = self.model.unembed(stream.slice_dim(0, last..last + 1));
        read_floats(logits.reshape([vocab])).await
    }

    /// Bytes of `held` that no stop string can reach back into.
    fn certain(&self) -> usize {
        let longest = self
            .config
            .stop
            .iter()
            .flat_map(|stop| stop.char_indices().map(|(at, _)| &stop[..at]))
            .filter(|start| self.held.ends_with(*start))
            .map(str::len)
            .max();
        self.held.len() - longest.unwrap_or(0)
    }
}
