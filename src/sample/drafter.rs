//! Drafters for speculative decoding.

use super::cached_decoder::CachedDecoder;
use super::prediction::Prediction;
use super::random::random;
use crate::config::SampleConfig;
use crate::error::Result;
use crate::model::Decoder;

/// Minimum length of a repeated n-gram. A single token is too little evidence, especially if tokens are characters.
const MIN_NGRAM: usize = 2;
/// Maximum length of a repeated n-gram.
const MAX_NGRAM: usize = 8;

/// Proposes tokens for [`Generator::with_drafter`](super::Generator::with_drafter). Like a [`CachedDecoder`], it can
/// be reused for another text.
pub enum Drafter {
    /// A smaller model with the same tokenizer.
    Model(Box<CachedDecoder>),
    /// Prompt lookup decoding (Saxena 2023): proposes the tokens that followed the last n-gram earlier in the text.
    Ngram,
}

impl Drafter {
    /// Creates a draft model. It must not be on an autodiff device.
    pub fn model(model: Decoder) -> Self {
        Self::Model(Box::new(model.into()))
    }

    /// Starts a new text, to which up to `new_tokens` will be added. Returns the length of the prefix that is already in the
    /// KV cache.
    pub(super) fn begin(&mut self, text: &[u32], new_tokens: usize) -> usize {
        match self {
            Self::Model(model) => model.begin(text, new_tokens),
            Self::Ngram => 0,
        }
    }

    /// Proposes up to `count` tokens to follow `text`, whose last `generated` tokens were sampled.
    ///
    /// # Errors
    /// Returns an error if the device was lost.
    pub(super) async fn propose(
        &mut self,
        text: &[u32],
        count: usize,
        config: &SampleConfig,
        generated: usize,
    ) -> Result<Vec<u32>> {
        let Self::Model(model) = self else { return Ok(repeated(text, count)) };
        let mut ahead = text.to_vec();
        for position in generated..generated + count {
            let prediction = Prediction::new(model.forward(&ahead, 1).await?, &ahead, config);
            ahead.push(prediction.draw(random(config.seed, position)));
        }
        Ok(ahead.split_off(text.len()))
    }

    /// Drops everything after the first `length` tokens of the text from the KV cache.
    pub(super) fn truncate(&mut self, length: usize) {
        if let Self::Model(model) = self {
            model.truncate(length);
        }
    }
}

/// Returns the tokens that followed the longest earlier occurrence of the text's ending, or the most recent one of
/// equally long occurrences. Empty if the ending is not repeated. A periodic text is continued periodically.
fn repeated(text: &[u32], count: usize) -> Vec<u32> {
    let match_length = |end: usize| {
        let pairs = text[..end].iter().rev().zip(text.iter().rev());
        pairs.take(MAX_NGRAM).take_while(|(earlier, last)| earlier == last).count()
    };
    match (MIN_NGRAM..text.len()).map(|end| (match_length(end), end)).max() {
        Some((length, end)) if length >= MIN_NGRAM => {
            text[end..].iter().copied().cycle().take(count).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::repeated;

    #[test]
    fn a_repeated_ngram_is_continued_as_before() {
        assert_eq!(repeated(&[1, 2, 3, 4, 9, 1, 2], 3), [3, 4, 9]);
        // The longest match wins; of equally long ones the most recent.
        assert_eq!(repeated(&[5, 1, 2, 3, 9, 1, 2, 4, 5, 1, 2], 1), [3]);
        assert_eq!(repeated(&[1, 2, 3, 9, 1, 2, 4, 8, 1, 2], 2), [4, 8]);
        // A single token does not count as a match.
        assert!(repeated(&[1, 2, 3, 1], 4).is_empty());
        for text in [&[][..], &[1], &[1, 1]] {
            assert!(repeated(text, 4).is_empty());
        }
    }

    #[test]
    fn a_periodic_text_is_continued_periodically() {
        assert_eq!(repeated(&[7, 1, 2, 1, 2], 5), [1, 2, 1, 2, 1]);
        assert_eq!(repeated(&[1, 1, 1], 3), [1, 1, 1]);
    }
}
