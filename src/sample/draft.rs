//! Speculative decoding (Leviathan et al. 2023): a small model guesses some tokens ahead, and the large one checks
//! all of them in one pass, which takes it little longer than a single token.
//!
//! A token is drawn with a random number that belongs to its place. Both models get the same one, and a guess is
//! right if the large model draws it too. So the text is the one that the large model writes alone, token by
//! token, whatever the small one is worth: only the number of passes depends on it.

use std::collections::VecDeque;

use super::reader::Reader;
use super::{Prediction, random};
use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::model::Decoder;

/// A model that guesses what another one writes.
pub(super) struct Draft {
    reader: Reader,
    /// Tokens to guess at a time.
    length: usize,
    /// Guesses that the large model has read, each with its logits after it.
    checked: VecDeque<(u32, Vec<f32>)>,
    pub(super) guesses: Guesses,
}

/// How well a draft guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Tokens that were guessed.
    pub made: usize,
    /// Those that the model drew too.
    pub right: usize,
    /// Passes of the model.
    pub passes: usize,
}

impl Draft {
    /// # Errors
    /// A vocabulary of another size than `vocab_size`.
    pub(super) fn new(model: Decoder, length: usize, vocab_size: usize) -> Result<Self> {
        let own = model.config().vocab_size;
        if own != vocab_size {
            let problem = format!("it has {own} tokens, the model {vocab_size}");
            return Err(Error::config("draft", problem, "use a draft with the model's tokenizer"));
        }
        let (checked, guesses) = (VecDeque::new(), Guesses::default());
        Ok(Self { reader: Reader::new(model), length, checked, guesses })
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
                self.guesses.right += 1;
                return Ok(logits);
            }
            // What follows was guessed after a token that was not drawn.
            self.checked.clear();
            reader.keep(text.len() - 1);
            self.reader.keep(text.len() - 1);
        }
        let left = config.max_new_tokens - produced - 1;
        let count = self.length.min(left).min(reader.room(text.len()));
        let ahead = self.guess(text, count, config, produced).await?;
        let logits = reader.read(&ahead, count + 1).await?;
        self.guesses.made += count;
        self.guesses.passes += 1;
        let mut rows = logits.chunks_exact(logits.len() / (count + 1)).map(<[f32]>::to_vec);
        let first = rows.next().expect("there is one more than guesses");
        self.checked = ahead[text.len()..].iter().copied().zip(rows).collect();
        Ok(first)
    }

    /// `text` with `count` guesses after it.
    async fn guess(
        &mut self,
        text: &[u32],
        count: usize,
        config: &SampleConfig,
        produced: usize,
    ) -> Result<Vec<u32>> {
        let mut ahead = text.to_vec();
        for place in produced..produced + count {
            let prediction = Prediction::new(self.reader.read(&ahead, 1).await?, &ahead, config);
            ahead.push(prediction.choose(random(config.seed, place)));
        }
        Ok(ahead)
    }
}
