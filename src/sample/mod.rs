//! Logits to tokens, and tokens to a stream of text.

mod draft;
mod prediction;
mod reader;
mod speculation;

pub use draft::Draft;
pub use prediction::{Prediction, distribution};
pub use reader::Reader;
pub use speculation::Guesses;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::tokenizer::{Message, StreamDecoder, Tokenizer};
use speculation::Speculation;

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
    /// What a draft guessed for its place and those after it; empty where nothing was guessed.
    pub guessed: Vec<u32>,
    /// Whether this was the last piece.
    pub done: bool,
}

/// Generates text token by token.
///
/// When the context is full, the newer half of it is read again and generation goes on: what came before
/// is forgotten, as in any model with a finite context.
pub struct Generator {
    reader: Reader,
    /// Tokens of the prompt that the reader had read before.
    reused: usize,
    speculation: Option<Speculation>,
    decoder: StreamDecoder,
    config: SampleConfig,
    ids: Vec<u32>,
    produced: usize,
    /// Tokens that end the text.
    ends: Vec<u32>,
    /// Text that may yet turn out to begin a stop string.
    held: String,
    done: bool,
}

impl Generator {
    /// Prepares to continue `prompt` with `model`: a [`Decoder`](crate::model::Decoder), which must not differentiate, or
    /// one [that has read already](Self::into_reader), which reads only what is new.
    ///
    /// # Errors
    /// Settings out of range; a prompt that the tokenizer cannot encode or the context cannot hold.
    pub fn new(
        model: impl Into<Reader>,
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
        model: impl Into<Reader>,
        tokenizer: &Tokenizer,
        messages: &[Message],
        config: &SampleConfig,
    ) -> Result<(Self, usize)> {
        let reader = model.into();
        let context = reader.model.config().max_position_embeddings;
        let room = context - config.max_new_tokens.min(context / 2);
        let prompt = tokenizer.encode_chat(messages, room)?;
        let mut generator = Self::from_ids(reader, tokenizer, prompt.ids, config)?;
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
        model: impl Into<Reader>,
        tokenizer: &Tokenizer,
        mut ids: Vec<u32>,
        config: &SampleConfig,
    ) -> Result<Self> {
        config.validate()?;
        let mut reader = model.into();
        let c = reader.model.config();
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
        let ends = c.eos_token_id.into_iter().collect();
        Ok(Self {
            reused: reader.begin(&ids),
            reader,
            speculation: None,
            decoder,
            config: config.clone(),
            ids,
            produced: 0,
            ends,
            held: String::new(),
            done: config.max_new_tokens == 0,
        })
    }

    /// The same text in fewer passes: `draft` guesses `length` tokens before each of them (Leviathan et al. 2023).
    /// Where two tokens are as likely as each other but for rounding, a pass over several may choose the other one.
    ///
    /// # Errors
    /// No tokens at a time; a model with a vocabulary of another size.
    pub fn with_draft(mut self, draft: Draft, length: usize) -> Result<Self> {
        let vocab_size = self.reader.model.config().vocab_size;
        self.speculation = Some(Speculation::new(draft, length, &self.ids, vocab_size)?);
        Ok(self)
    }

    /// How well the draft guessed, if there is one.
    pub fn guesses(&self) -> Option<Guesses> {
        self.speculation.as_ref().map(|speculation| speculation.guesses)
    }

    /// How many tokens of the prompt the model had read before, so that they cost nothing.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// The model with what it has read, for a text that begins as this one does.
    pub fn into_reader(self) -> Reader {
        self.reader
    }

    /// [`Self::into_reader`] and the draft, if there is one, with what it has read.
    pub fn into_parts(self) -> (Reader, Option<Draft>) {
        (self.reader, self.speculation.map(|speculation| speculation.draft))
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
        let logits = match &mut self.speculation {
            Some(speculation) => {
                let reader = &mut self.reader;
                speculation.logits(reader, &self.ids, &self.config, self.produced).await?
            }
            None => self.reader.read(&self.ids, 1).await?,
        };
        let prediction = Prediction::new(logits, &self.ids, &self.config);
        let id = prediction.choose(random(self.config.seed, self.produced));
        let guessed = self.speculation.as_mut().map(|speculation| speculation.compare(id));
        let guessed = guessed.unwrap_or_default();
        self.ids.push(id);
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
        Ok(Some(Piece { text, id, prediction, before, guessed, done: self.done }))
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

/// The random number, uniform in `[0, 1)`, by which the token in place `place` is drawn.
fn random(seed: u64, place: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(place as u64);
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
