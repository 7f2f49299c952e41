//! Token-by-token text generation.

use super::cached_decoder::CachedDecoder;
use super::drafter::Drafter;
use super::prediction::Prediction;
use super::random::random;
use super::speculation::{DraftStats, Speculation};
use crate::config::{ModelConfig, SampleConfig};
use crate::error::{Error, Result};
use crate::tokenizer::{AllowedSpecial, Message, StreamDecoder, Tokenizer};

/// A piece of generated text.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The text that this token completes; may be empty.
    pub text: String,
    /// The sampled token.
    pub id: u32,
    /// The distribution that the token was sampled from.
    pub prediction: Prediction,
    /// The stream decoder before this token, for decoding alternatives to it.
    pub before: StreamDecoder,
    /// The drafter's proposals for this position and the following ones; empty if nothing was proposed.
    pub guessed: Vec<u32>,
    /// True for the last piece.
    pub done: bool,
}

/// Generates text token by token.
///
/// When the context is full, the newer half of it is prefilled again and generation continues without the older
/// half.
pub struct Generator {
    model: CachedDecoder,
    /// Prompt tokens that were already in the KV cache.
    reused: usize,
    speculation: Option<Speculation>,
    decoder: StreamDecoder,
    config: SampleConfig,
    ids: Vec<u32>,
    generated: usize,
    /// Tokens that end the text.
    ends: Vec<u32>,
    /// Decoded text that could still turn out to be the start of a stop string.
    withheld: String,
    done: bool,
}

impl Generator {
    /// Creates a generator that continues `prompt`. `model` is a [`Decoder`](crate::model::Decoder), which must not be
    /// on an autodiff device, or a [`CachedDecoder`] from an [earlier generator](Self::into_decoder), which skips the
    /// prompt's prefix that is in its KV cache.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, the tokenizer cannot encode the prompt, or the prompt exceeds
    /// the context.
    pub fn new(
        model: impl Into<CachedDecoder>,
        tokenizer: &Tokenizer,
        prompt: &str,
        config: &SampleConfig,
    ) -> Result<Self> {
        Self::with_special(model, tokenizer, prompt, &AllowedSpecial::None, config)
    }

    /// Creates a generator like [`Self::new`] that recognizes special tokens in the prompt.
    ///
    /// # Errors
    /// Returns the errors of [`Self::new`], and an error if an allowed name is not a special token.
    pub fn with_special(
        model: impl Into<CachedDecoder>,
        tokenizer: &Tokenizer,
        prompt: &str,
        allowed: &AllowedSpecial,
        config: &SampleConfig,
    ) -> Result<Self> {
        let mut ids = tokenizer.encode_with_special(prompt, allowed)?;
        ids.splice(0..0, tokenizer.opening().iter().copied());
        let mut generator = Self::from_ids(model, tokenizer, ids, config)?;
        if prompt.is_empty() {
            // The output is a text of its own, so its first token decodes without a leading space.
            generator.decoder = tokenizer.stream_decoder();
        }
        Ok(generator)
    }

    /// Creates a generator for the assistant's next message. Also returns the number of oldest messages that were
    /// dropped to leave up to half of the context free for the answer. A system message and the last message are never
    /// dropped, even if they leave less.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, the tokenizer has no chat tokens, or these two messages exceed the
    /// context.
    pub fn for_chat(
        model: impl Into<CachedDecoder>,
        tokenizer: &Tokenizer,
        messages: &[Message],
        config: &SampleConfig,
    ) -> Result<(Self, usize)> {
        let model = model.into();
        let context = model.decoder.config().max_position_embeddings;
        let room = context - config.max_new_tokens.min(context / 2);
        let prompt = tokenizer.encode_chat_prompt(messages, room)?;
        let mut generator = Self::from_ids(model, tokenizer, prompt.ids, config)?;
        generator.decoder = tokenizer.stream_decoder();
        // Any special token ends the message.
        generator.ends.extend(tokenizer.special_tokens().map(|(_, id)| id));
        Ok((generator, prompt.dropped))
    }

    /// Creates a generator that continues a prompt of token ids.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, the tokenizer lacks an id, or the prompt exceeds the context.
    pub fn from_ids(
        model: impl Into<CachedDecoder>,
        tokenizer: &Tokenizer,
        mut ids: Vec<u32>,
        config: &SampleConfig,
    ) -> Result<Self> {
        config.validate()?;
        let mut model = model.into();
        let c = model.decoder.config();
        let context = c.max_position_embeddings;
        if ids.len() > context {
            return Err(Error::ContextOverflow { tokens: ids.len(), context });
        }
        let mut decoder = tokenizer.stream_decoder();
        // The output continues the prompt, so its first token is not decoded as the start of a text.
        for id in &ids {
            text_of(&mut decoder, *id, c.vocab_size)?;
        }
        if ids.is_empty() {
            // An empty prompt starts where a document starts: after the previous document's end.
            let newline = tokenizer.encode("\n").ok().and_then(|ids| ids.first().copied());
            ids.push(c.bos_token_id.or(c.eos_token_id.first()).or(newline).unwrap_or(0));
        }
        let ends = c.eos_token_id.ids().to_vec();
        Ok(Self {
            reused: model.begin(&ids, config.max_new_tokens),
            model,
            speculation: None,
            decoder,
            config: config.clone(),
            ids,
            generated: 0,
            ends,
            withheld: String::new(),
            done: config.max_new_tokens == 0,
        })
    }

    /// Enables speculative decoding (Leviathan et al. 2023): `drafter` proposes `length` tokens per forward pass. The
    /// text stays the same, except where two tokens' logits differ only by rounding.
    ///
    /// # Errors
    /// Returns an error if `length` is 0 or the draft model's vocabulary has another size.
    pub fn with_drafter(mut self, drafter: Drafter, length: usize) -> Result<Self> {
        let vocab_size = self.model.decoder.config().vocab_size;
        let new_tokens = self.config.max_new_tokens;
        self.speculation =
            Some(Speculation::new(drafter, length, &self.ids, new_tokens, vocab_size)?);
        Ok(self)
    }

    /// Returns how many of the drafter's proposals were accepted; none without a drafter.
    pub fn draft_stats(&self) -> Option<DraftStats> {
        self.speculation.as_ref().map(|speculation| speculation.stats)
    }

    /// Returns the number of prompt tokens that were already in the KV cache.
    pub fn reused_tokens(&self) -> usize {
        self.reused
    }

    /// Returns the largest number of tokens that the text can have, those of the prompt included.
    pub fn total_tokens(&self) -> usize {
        self.ids.len().saturating_add(self.config.max_new_tokens - self.generated)
    }

    /// Returns the architectures of the model and of the draft model, if there is one.
    pub fn models(&self) -> impl Iterator<Item = &ModelConfig> {
        let draft = self.speculation.as_ref().and_then(|speculation| match &speculation.drafter {
            Drafter::Model(model) => Some(model.decoder.config()),
            Drafter::Ngram => None,
        });
        std::iter::once(self.model.decoder.config()).chain(draft)
    }

    /// Returns the model with its KV cache, for another text with the same prefix.
    pub fn into_decoder(self) -> CachedDecoder {
        self.model
    }

    /// Returns the model and the drafter, if there is one, with their KV caches.
    pub fn into_parts(self) -> (CachedDecoder, Option<Drafter>) {
        (self.model, self.speculation.map(|speculation| speculation.drafter))
    }

    /// Returns the number of tokens generated so far.
    pub fn generated_tokens(&self) -> usize {
        self.generated
    }

    /// Returns the ids of the prompt and of the generated tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Generates one token and returns its text; none when generation is done.
    ///
    /// # Errors
    /// Returns an error if the device was lost.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        if self.done {
            return Ok(None);
        }
        let logits = match &mut self.speculation {
            Some(speculation) => {
                let model = &mut self.model;
                speculation.logits(model, &self.ids, &self.config, self.generated).await?
            }
            None => self.model.forward(&self.ids, 1).await?,
        };
        let prediction = Prediction::new(logits, &self.ids, &self.config);
        let id = prediction.draw(random(self.config.seed, self.generated));
        let guessed = self.speculation.as_mut().map(|speculation| speculation.compare(id));
        let guessed = guessed.unwrap_or_default();
        self.ids.push(id);
        self.generated += 1;
        let before = self.decoder.clone();
        let ended = self.ends.contains(&id);
        self.done = ended || self.generated == self.config.max_new_tokens;
        if !ended {
            let rows = self.model.decoder.config().vocab_size;
            self.withheld.push_str(&text_of(&mut self.decoder, id, rows)?);
        }
        if self.done {
            self.withheld.push_str(&self.decoder.finish());
        }
        let stop = self.config.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = stop.filter_map(|stop| self.withheld.find(stop.as_str())).min() {
            self.withheld.truncate(at);
            self.done = true;
        }
        let ready = if self.done { self.withheld.len() } else { self.releasable() };
        let rest = self.withheld.split_off(ready);
        let text = std::mem::replace(&mut self.withheld, rest);
        Ok(Some(Piece { text, id, prediction, before, guessed, done: self.done }))
    }

    /// Returns the number of leading bytes of `withheld` that cannot be part of a stop string.
    fn releasable(&self) -> usize {
        let longest = self
            .config
            .stop
            .iter()
            .flat_map(|stop| stop.char_indices().map(|(at, _)| &stop[..at]))
            .filter(|start| self.withheld.ends_with(*start))
            .map(str::len)
            .max();
        self.withheld.len() - longest.unwrap_or(0)
    }
}

/// Decodes the next token. As in transformers, a row of the embedding without a token, as in padded vocabularies, adds no
/// text.
fn text_of(decoder: &mut StreamDecoder, id: u32, rows: usize) -> Result<String> {
    match decoder.push(id) {
        Err(Error::TokenOutOfRange { .. }) if (id as usize) < rows => Ok(String::new()),
        text => text,
    }
}
