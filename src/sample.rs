//! Logits to tokens, and tokens to a stream of text.

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::model::{Decoder, KvCache, TokenIds, read_floats};
use crate::tokenizer::{StreamDecoder, Tokenizer};

/// Chooses the next token from its logits. Pure: `random` is uniform in `[0, 1)`.
///
/// The order is Hugging Face's: repetition penalty over `history`, temperature, top-k, top-p, min-p, draw.
pub fn choose(logits: &[f32], history: &[u32], config: &SampleConfig, random: f64) -> u32 {
    let probabilities = distribution(logits, history, config);
    let total: f64 = probabilities.iter().map(|(_, p)| p).sum();
    let mut rest = random * total;
    for (id, p) in &probabilities {
        rest -= p;
        if rest < 0.0 {
            return *id;
        }
    }
    probabilities.last().map_or(0, |(id, _)| *id)
}

/// The tokens that may be drawn with their unnormalized probabilities, most likely first.
pub fn distribution(logits: &[f32], history: &[u32], config: &SampleConfig) -> Vec<(u32, f64)> {
    let mut scores: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    if config.repetition_penalty != 1.0 {
        let mut seen = history.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                let penalty = config.repetition_penalty;
                *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
            }
        }
    }
    let mut order: Vec<(u32, f64)> =
        scores.into_iter().enumerate().map(|(id, score)| (id as u32, score)).collect();
    // Ties go to the smaller id, as argmax does it elsewhere.
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if config.temperature == 0.0 {
        order.truncate(1);
    }
    if config.top_k > 0 {
        order.truncate(config.top_k);
    }
    let best = order.first().map_or(0.0, |(_, score)| *score);
    let temperature = if config.temperature == 0.0 { 1.0 } else { config.temperature };
    for (_, score) in &mut order {
        *score = ((*score - best) / temperature).exp();
    }
    if config.top_p < 1.0 {
        let mut left = order.iter().map(|(_, p)| p).sum::<f64>() * config.top_p;
        let kept = order
            .iter()
            .position(|(_, p)| {
                left -= p;
                left <= 0.0
            })
            .map_or(order.len(), |last| last + 1);
        order.truncate(kept);
    }
    if config.min_p > 0.0 {
        // The best has probability one here, before normalization.
        order.retain(|(_, p)| *p >= config.min_p);
    }
    order
}

/// A piece of generated text.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The characters that became certain with this token; may be empty.
    pub text: String,
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
        config.validate()?;
        let mut ids = tokenizer.encode(prompt)?;
        let c = model.config();
        if let Some(bos) = tokenizer.bos() {
            ids.insert(0, bos);
        } else if ids.is_empty() {
            // Nothing to go on from: begin where texts begin, at the end of another.
            let newline = tokenizer.encode("\n").ok().and_then(|ids| ids.first().copied());
            ids.push(c.bos_token_id.or(c.eos_token_id).or(newline).unwrap_or(0));
        }
        let context = c.max_position_embeddings;
        if ids.len() > context {
            return Err(Error::ContextOverflow { tokens: ids.len(), context });
        }
        let cache = KvCache::new(c, 1, context, &model.device());
        let mut decoder = tokenizer.stream_decoder();
        if !prompt.is_empty() {
            // The text goes on after the prompt: what continues a word must not look like a beginning.
            for id in &ids {
                decoder.push(*id)?;
            }
        }
        Ok(Self {
            unseen: ids.len(),
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
        let id = choose(&logits, &self.ids, &self.config, random);
        self.ids.push(id);
        self.unseen = 1;
        self.produced += 1;
        let ended = self.model.config().eos_token_id == Some(id);
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
        Ok(Some(Piece { text, done: self.done }))
    }

    /// Logits after the last token.
    async fn logits(&mut self) -> Result<Vec<f32>> {
        let c = self.model.config();
        if self.cache.len() + self.unseen > self.cache.capacity() {
            self.unseen = (self.cache.capacity() / 2).max(1).min(self.ids.len());
            self.cache.truncate(0);
        }
        let new = &self.ids[self.ids.len() - self.unseen..];
        let ids = TokenIds::new(new, 1, c.vocab_size, &self.model.device())?;
        let (last, vocab) = (new.len() - 1, c.vocab_size);
        let logits = self.model.forward(ids, Some(&mut self.cache), None)?;
        let logits: Tensor<3> = logits.slice([0..1, last..last + 1, 0..vocab]);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SampleConfig {
        SampleConfig { temperature: 1.0, top_p: 1.0, ..Default::default() }
    }

    fn kept(config: &SampleConfig, history: &[u32]) -> Vec<u32> {
        let logits = [1.0f32, 3.0, 2.0, -1.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4, 0.5
        distribution(&logits, history, config).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn each_cut_keeps_what_its_definition_says() {
        assert_eq!(kept(&config(), &[]), [1, 2, 0, 3]);
        assert_eq!(kept(&SampleConfig { temperature: 0.0, ..config() }, &[]), [1]);
        assert_eq!(kept(&SampleConfig { top_k: 2, ..config() }, &[]), [1, 2]);
        // Probabilities 8, 4, 2, 0.5 of 14.5: 0.552, 0.828, 0.966.
        assert_eq!(kept(&SampleConfig { top_p: 0.55, ..config() }, &[]), [1]);
        assert_eq!(kept(&SampleConfig { top_p: 0.56, ..config() }, &[]), [1, 2]);
        assert_eq!(kept(&SampleConfig { min_p: 0.24, ..config() }, &[]), [1, 2, 0]);
        // 3 ln 2 / 4 falls below 1 ln 2.
        assert_eq!(kept(&SampleConfig { repetition_penalty: 4.0, ..config() }, &[1]), [2, 0, 1, 3]);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [1.0f32, 3.0, 2.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4 of 14
        let mut counts = [0; 3];
        for i in 0..1400 {
            counts[choose(&logits, &[], &config(), (f64::from(i) + 0.5) / 1400.0) as usize] += 1;
        }
        assert_eq!(counts, [200, 800, 400]);
    }
}
