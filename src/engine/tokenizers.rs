//! Tokenizers trained for comparison: several side by side, or the merges of one in order.

use std::iter;
use std::ops::ControlFlow;

use super::spelling::{token, tokens};
use crate::error::Result;
use crate::platform::now_ms;
use crate::protocol::{Merge, Stage, TokenizerReport, page_message};
use crate::tokenizer::{Tokenizer, TrainOptions, run_sequentially};

/// Maximum bytes of a corpus: more text hardly changes the vocabulary, and the page waits for the result.
const CORPUS_BYTES: usize = 4 << 20;
/// Maximum bytes of the text that is tokenized.
const TEXT_BYTES: usize = 16 << 10;
/// Reported stages of a growing vocabulary, without the first.
const STAGES: usize = 24;

/// Trains a tokenizer for each of `specs` on the first 4 MB of the corpus and tokenizes the first 16 KB of the text with
/// each. If that fails, the report contains the reason.
pub fn compare(corpus: &str, text: &str, specs: &[String]) -> Vec<TokenizerReport> {
    let corpus = beginning(corpus, CORPUS_BYTES);
    let text = beginning(text, TEXT_BYTES);
    let report = |spec: &String| {
        report(corpus, text, spec).unwrap_or_else(|error| TokenizerReport {
            spec: spec.clone(),
            vocab_size: 0,
            bytes_per_token: 0.0,
            train_ms: 0.0,
            tokens: Vec::new(),
            problem: Some(page_message(&error)),
        })
    };
    specs.iter().map(report).collect()
}

fn report(corpus: &str, text: &str, spec: &str) -> Result<TokenizerReport> {
    let options = TrainOptions::from_spec(spec)?;
    let started = now_ms();
    let tokenizer =
        Tokenizer::train(&options, [corpus], run_sequentially, |_| ControlFlow::Continue(()))?;
    let train_ms = now_ms() - started;
    let (ids, problem) = match tokenizer.encode(text) {
        Ok(ids) => (ids, None),
        Err(error) => (Vec::new(), Some(page_message(&error))),
    };
    Ok(TokenizerReport {
        spec: spec.into(),
        vocab_size: tokenizer.vocab_size(),
        bytes_per_token: corpus.len() as f64 / tokenizer.encode(corpus)?.len().max(1) as f64,
        train_ms,
        tokens: tokens(&tokenizer, ids),
        problem,
    })
}

/// Trains byte-level BPE on the first 4 MB of the corpus. Returns its merges in order, and the first 16 KB of the text
/// tokenized at up to 25 stages from bytes to the full vocabulary, denser at the beginning.
///
/// # Errors
/// The corpus is empty; the vocabulary has no room for 256 bytes and the end-of-text token.
pub fn merges(corpus: &str, text: &str, vocab_size: usize) -> Result<(Vec<Merge>, Vec<Stage>)> {
    let corpus = beginning(corpus, CORPUS_BYTES);
    let text = beginning(text, TEXT_BYTES);
    let options = TrainOptions::from_spec(&format!("bpe:{vocab_size}"))?;
    let keep_going = |_| ControlFlow::Continue(());
    let (tokenizer, learned) =
        Tokenizer::train_bpe(&options, [corpus], run_sequentially, keep_going)?;
    let stage = |merges| {
        let ids = tokenizer.with_merges(merges).encode(text)?;
        Ok(Stage { merges, tokens: tokens(&tokenizer, ids) })
    };
    let stages = growing(learned.len()).into_iter().map(stage).collect::<Result<_>>()?;
    let spell = |id| token(&tokenizer, id).text;
    let merges = learned.iter().map(|merge| Merge {
        left: spell(merge.left),
        right: spell(merge.right),
        count: merge.count,
    });
    Ok((merges.collect(), stages))
}

/// Returns numbers from 0 to `total` in growing steps: the first merges change a text most.
fn growing(total: usize) -> Vec<usize> {
    let share = |stage: usize| stage as f64 / (STAGES - 1) as f64;
    let count = |stage| (total as f64).powf(share(stage)).round() as usize;
    let mut counts: Vec<usize> =
        iter::once(0).chain((0..STAGES).map(count)).map(|count| count.min(total)).collect();
    counts.dedup();
    counts
}

/// Returns the first `bytes` bytes of a text, or up to three fewer to end between two characters.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::{beginning, growing};

    #[test]
    fn stages_are_denser_at_the_beginning() {
        assert_eq!(growing(0), [0]);
        assert_eq!(growing(3), [0, 1, 2, 3]);
        let stages = growing(7935);
        assert_eq!((stages[0], stages[1], stages.last()), (0, 1, Some(&7935)));
        assert!((16..=25).contains(&stages.len()) && stages.is_sorted(), "{stages:?}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(beginning("aé", 2), "a");
        assert_eq!(beginning("aé", 9), "aé");
    }
}
