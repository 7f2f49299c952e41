//! Speculative decoding (Leviathan et al. 2023): a drafter proposes several tokens, and the model verifies all of them
//! in one forward pass, which takes little longer than a pass over a single token.
//!
//! Each token is sampled with a random number that depends only on the seed and the token's position. Model and
//! drafter use the same number, and a proposal is accepted if the model samples the same token. The text is therefore
//! the one that the model generates alone; the drafter only changes the number of passes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::cached_decoder::CachedDecoder;
use super::drafter::Drafter;
use crate::config::SampleConfig;
use crate::error::{Error, Result};

/// A drafter and the proposals that the model has verified.
pub(super) struct Speculation {
    pub(super) drafter: Drafter,
    /// Tokens to propose per forward pass.
    length: usize,
    /// Proposals of the last pass, each with the model's logits after it.
    checked: VecDeque<(u32, Vec<f32>)>,
    pub(super) stats: DraftStats,
}

/// Acceptance statistics of speculative decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DraftStats {
    /// Proposed tokens.
    pub proposed: usize,
    /// Accepted tokens.
    pub accepted: usize,
    /// Forward passes of the model.
    pub passes: usize,
    /// Prompt tokens that were already in the draft model's KV cache.
    pub reused: usize,
}

impl Speculation {
    /// Prepares `drafter` for a text that starts with `prompt` and has up to `new_tokens` more.
    ///
    /// # Errors
    /// Returns an error if `length` is 0 or the draft model's vocabulary size is not `vocab_size`.
    pub(super) fn new(
        mut drafter: Drafter,
        length: usize,
        prompt: &[u32],
        new_tokens: usize,
        vocab_size: usize,
    ) -> Result<Self> {
        if length == 0 {
            let remedy = "propose at least one token per pass";
            return Err(Error::config("draft", "the number of proposed tokens is 0", remedy));
        }
        if let Drafter::Model(model) = &drafter {
            let own = model.decoder.config().vocab_size;
            if own != vocab_size {
                let problem =
                    format!("its vocabulary has {own} tokens, but the model's has {vocab_size}");
                return Err(Error::config(
                    "draft",
                    problem,
                    "use a draft model with the same tokenizer",
                ));
            }
        }
        let stats =
            DraftStats { reused: drafter.begin(prompt, new_tokens), ..DraftStats::default() };
        Ok(Self { drafter, length, checked: VecDeque::new(), stats })
    }

    /// Returns `model`'s logits after `text`, whose last `generated` tokens were sampled. They come from the last pass
    /// if it verified the last token, and otherwise from a new pass over new proposals.
    pub(super) async fn logits(
        &mut self,
        model: &mut CachedDecoder,
        text: &[u32],
        config: &SampleConfig,
        generated: usize,
    ) -> Result<Vec<f32>> {
        if let Some((guess, logits)) = self.checked.pop_front() {
            if text.last() == Some(&guess) {
                return Ok(logits);
            }
            // The remaining proposals follow a token that was rejected.
            self.checked.clear();
            model.truncate(text.len() - 1);
            self.drafter.truncate(text.len() - 1);
        }
        let left = config.max_new_tokens - generated - 1;
        let most = self.length.min(left).min(model.room(text.len()));
        let proposed = self.drafter.propose(text, most, config, generated).await?;
        let count = proposed.len();
        let logits = model.forward(&[text, &proposed].concat(), count + 1).await?;
        self.stats.proposed += count;
        self.stats.passes += 1;
        let mut rows = logits.chunks_exact(logits.len() / (count + 1)).map(<[f32]>::to_vec);
        let first = rows.next().expect("one row more than proposals");
        self.checked = proposed.into_iter().zip(rows).collect();
        Ok(first)
    }

    /// Compares the sampled token with the proposal for its position. Returns that proposal and the following ones.
    pub(super) fn compare(&mut self, drawn: u32) -> Vec<u32> {
        let proposed: Vec<u32> = self.checked.iter().map(|(token, _)| *token).collect();
        self.stats.accepted += usize::from(proposed.first() == Some(&drawn));
        proposed
    }
}
