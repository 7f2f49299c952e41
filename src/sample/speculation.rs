//! Speculative decoding (Leviathan et al. 2023): a draft guesses some tokens ahead, and the model checks all of them in
//! one pass, which takes it little longer than a single token.
//!
//! A token is drawn with a random number that belongs to its place. Model and draft get the same one, and a guess
//! is right if the model draws it too. So the text is the one that the model writes alone, token by token,
//! whatever the draft is worth: only the number of passes depends on it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::draft::Draft;
use super::reader::Reader;
use crate::config::SampleConfig;
use crate::error::{Error, Result};

/// A draft, and what the model has checked of its guesses.
pub(super) struct Speculation {
    pub(super) draft: Draft,
    /// Tokens to guess at a time.
    length: usize,
    /// Guesses that the model has read, each with its logits after it.
    checked: VecDeque<(u32, Vec<f32>)>,
    pub(super) guesses: Guesses,
}

/// How well a draft guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Guesses {
    /// Tokens that were guessed.
    pub made: usize,
    /// Those that the model drew too.
    pub right: usize,
    /// Passes of the model.
    pub passes: usize,
    /// Tokens of the prompt that the draft had read before, so that they cost it nothing.
    pub reused: usize,
}

impl Speculation {
    /// `draft` for a text that begins with `prompt`.
    ///
    /// # Errors
    /// No guesses at a time; a vocabulary of another size than `vocab_size`.
    pub(super) fn new(
        mut draft: Draft,
        length: usize,
        prompt: &[u32],
        vocab_size: usize,
    ) -> Result<Self> {
        if length == 0 {
            let remedy = "let it guess at least one token at a time";
            return Err(Error::config("draft", "it would guess nothing", remedy));
        }
        if let Draft::Model(reader) = &draft {
            let own = reader.model.config().vocab_size;
            if own != vocab_size {
                let problem = format!("it has {own} tokens, the model {vocab_size}");
                return Err(Error::config(
                    "draft",
                    problem,
                    "use a draft with the model's tokenizer",
                ));
            }
        }
        let guesses = Guesses { reused: draft.begin(prompt), ..Guesses::default() };
        Ok(Self { draft, length, checked: VecDeque::new(), guesses })
    }

    /// `reader`'s logits after `text`, of which `produced` tokens were drawn: from a pass that checked a right
    /// guess, or from a new one that checks the next guesses.
    pub(super) async fn logits(
        &mut self,
        reader: &mut Reader,
        text: &[u32],
        config: &SampleConfig,
        produced: usize,
    ) -> Result<Vec<f32>> {
        if let Some((guess, logits)) = self.checked.pop_front() {
            if text.last() == Some(&guess) {
                return Ok(logits);
            }
            // What follows was guessed after a token that was not drawn.
            self.checked.clear();
            reader.keep(text.len() - 1);
            self.draft.keep(text.len() - 1);
        }
        let left = config.max_new_tokens - produced - 1;
        let most = self.length.min(left).min(reader.room(text.len()));
        let guesses = self.draft.guess(text, most, config, produced).await?;
        let count = guesses.len();
        let logits = reader.read(&[text, &guesses].concat(), count + 1).await?;
        self.guesses.made += count;
        self.guesses.passes += 1;
        let mut rows = logits.chunks_exact(logits.len() / (count + 1)).map(<[f32]>::to_vec);
        let first = rows.next().expect("there is one more than guesses");
        self.checked = guesses.into_iter().zip(rows).collect();
        Ok(first)
    }

    /// Compares the token that was drawn with the guess for its place; returns that guess and those after it.
    pub(super) fn compare(&mut self, drawn: u32) -> Vec<u32> {
        let guessed: Vec<u32> = self.checked.iter().map(|(guess, _)| *guess).collect();
        self.guesses.right += usize::from(guessed.first() == Some(&drawn));
        guessed
    }
}
