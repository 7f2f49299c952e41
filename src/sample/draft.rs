//! What guesses the tokens that come next.

use super::reader::Reader;
use super::{Prediction, random};
use crate::config::SampleConfig;
use crate::error::Result;
use crate::model::Decoder;

/// The fewest tokens that count as a repetition: one alone says too little, above all where tokens are characters.
const SHORTEST: usize = 2;
/// The most tokens that are compared.
const LONGEST: usize = 8;

/// Guesses what a model writes next, for [`Generator::with_draft`](super::Generator::with_draft). It outlives its text as a
/// [`Reader`] does.
pub enum Draft {
    /// A smaller model with the same tokenizer, and what it has read.
    Model(Box<Reader>),
    /// The text itself: what followed its last tokens earlier follows again (prompt lookup decoding, Saxena 2023).
    Ngram,
}

impl Draft {
    /// A model that guesses what another one writes; it must not differentiate.
    pub fn model(model: Decoder) -> Self {
        Self::Model(Box::new(model.into()))
    }

    /// Begins a text. Returns how many of its tokens need not be read, since the last text began with them too.
    pub(super) fn begin(&mut self, text: &[u32]) -> usize {
        match self {
            Self::Model(reader) => reader.begin(text),
            Self::Ngram => 0,
        }
    }

    /// Up to `count` guesses of what follows `text`, of which `produced` tokens were drawn.
    ///
    /// # Errors
    /// A lost device.
    pub(super) async fn guess(
        &mut self,
        text: &[u32],
        count: usize,
        config: &SampleConfig,
        produced: usize,
    ) -> Result<Vec<u32>> {
        let Self::Model(reader) = self else { return Ok(repeated(text, count)) };
        let mut ahead = text.to_vec();
        for place in produced..produced + count {
            let prediction = Prediction::new(reader.read(&ahead, 1).await?, &ahead, config);
            ahead.push(prediction.choose(random(config.seed, place)));
        }
        Ok(ahead.split_off(text.len()))
    }

    /// Forgets what it has read of a text beyond its first `length` tokens.
    pub(super) fn keep(&mut self, length: usize) {
        if let Self::Model(reader) = self {
            reader.keep(length);
        }
    }
}

/// What stood behind the longest repetition of the text's end, behind the latest of equally long ones; nothing where
/// nothing is repeated. A text that goes round in circles is guessed to go on so.
fn repeated(text: &[u32], count: usize) -> Vec<u32> {
    let alike = |end: usize| {
        let pairs = text[..end].iter().rev().zip(text.iter().rev());
        pairs.take(LONGEST).take_while(|(earlier, last)| earlier == last).count()
    };
    match (SHORTEST..text.len()).map(|end| (alike(end), end)).max() {
        Some((length, end)) if length >= SHORTEST => {
            text[end..].iter().copied().cycle().take(count).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::repeated;

    #[test]
    fn what_followed_earlier_is_guessed_to_follow_again() {
        assert_eq!(repeated(&[1, 2, 3, 4, 9, 1, 2], 3), [3, 4, 9]);
        // A longer repetition says more than a later one, a later one more than an earlier.
        assert_eq!(repeated(&[5, 1, 2, 3, 9, 1, 2, 4, 5, 1, 2], 1), [3]);
        assert_eq!(repeated(&[1, 2, 3, 9, 1, 2, 4, 8, 1, 2], 2), [4, 8]);
        // One token is no repetition.
        assert!(repeated(&[1, 2, 3, 1], 4).is_empty());
        for text in [&[][..], &[1], &[1, 1]] {
            assert!(repeated(text, 4).is_empty());
        }
    }

    #[test]
    fn circles_are_followed_round() {
        assert_eq!(repeated(&[7, 1, 2, 1, 2], 5), [1, 2, 1, 2, 1]);
        assert_eq!(repeated(&[1, 1, 1], 3), [1, 1, 1]);
    }
}
