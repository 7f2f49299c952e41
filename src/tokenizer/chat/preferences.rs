//! Preference pairs: a prompt with a chosen and a rejected completion.

use super::{EncodedChat, Message};
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// A prompt with a chosen and a rejected completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferencePair {
    /// Messages before the completions.
    pub prompt: Vec<Message>,
    /// The preferred completion.
    pub chosen: Vec<Message>,
    /// The other completion.
    pub rejected: Vec<Message>,
}

impl Tokenizer {
    /// Encodes the two conversations of a pair, the chosen one first. The loss masks cover only the completions.
    ///
    /// # Errors
    /// Returns the errors of [`Self::encode_messages`].
    pub fn encode_pair(&self, pair: &PreferencePair) -> Result<[EncodedChat; 2]> {
        let mut prompt = self.encode_messages(&pair.prompt)?;
        prompt.loss_mask.fill(false);
        let with = |answer: &[Message]| {
            let mut chat = prompt.clone();
            let answer = self.encode_messages(answer)?;
            chat.ids.extend(answer.ids);
            chat.loss_mask.extend(answer.loss_mask);
            Ok(chat)
        };
        Ok([with(&pair.chosen)?, with(&pair.rejected)?])
    }
}
