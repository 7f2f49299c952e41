//! Batches of an evaluation, with every target of a corpus once.

use super::packing::Packing;
use super::{Batch, Corpus};
use crate::config::DataKind;

/// Iterates over a corpus so that every target is predicted once, in batches of up to `batch_size` equal rows.
///
/// Text is cut into windows of `seq_len` that do not overlap; the last one of each segment is shorter, and the first
/// token of a segment is never a target. Conversations are packed and preference pairs take two rows each, as in
/// training.
pub fn eval_batches(
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> Box<dyn Iterator<Item = Batch> + '_> {
    match corpus.kind {
        DataKind::Text => Box::new(text_batches(corpus, seq_len, batch_size)),
        DataKind::Conversations => Box::new(packed_batches(corpus, seq_len, batch_size)),
        DataKind::Preferences => Box::new(pair_batches(corpus, seq_len, batch_size)),
    }
}

fn pair_batches(corpus: &Corpus, seq_len: usize, batch_size: usize) -> impl Iterator<Item = Batch> {
    let pairs = corpus.segments.len() / 2;
    let pairs_per_batch = batch_size.div_ceil(2);
    (0..pairs).step_by(pairs_per_batch).map(move |first| {
        let mut batch = Batch::empty(seq_len);
        for pair in first..pairs.min(first + pairs_per_batch) {
            batch.push_pair(corpus, pair);
        }
        batch
    })
}

fn packed_batches(
    corpus: &Corpus,
    seq_len: usize,
    batch_size: usize,
) -> impl Iterator<Item = Batch> {
    let packing = Packing::new(corpus, seq_len);
    (0..packing.count()).step_by(batch_size).map(move |first| {
        let mut batch = Batch::empty(seq_len);
        for window in first..packing.count().min(first + batch_size) {
            batch.push_packed(corpus, packing.window(window));
        }
        batch
    })
}

fn text_batches(corpus: &Corpus, seq_len: usize, batch_size: usize) -> impl Iterator<Item = Batch> {
    corpus.segments.iter().enumerate().flat_map(move |(segment, tokens)| {
        let targets = tokens.len().saturating_sub(1);
        let full = targets / seq_len;
        let rest = targets % seq_len;
        let groups = full.div_ceil(batch_size);
        let whole = (0..groups).map(move |group| {
            let first = group * batch_size;
            (first * seq_len, batch_size.min(full - first), seq_len)
        });
        let rest = (rest > 0).then_some((full * seq_len, 1, rest));
        whole.chain(rest).map(move |(start, rows, tokens)| {
            let mut batch = Batch::empty(tokens);
            for row in 0..rows {
                batch.push_window(corpus, segment, start + row * tokens);
            }
            batch
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{IGNORE, Tokens};
    use super::*;

    #[test]
    fn every_target_is_evaluated_once() {
        let segment = |ids: std::ops::Range<u32>| Tokens::from_ids(ids.collect());
        let segments = vec![segment(0..23), segment(23..24), segment(24..26), segment(26..37)];
        let corpus = Corpus { segments, ..Default::default() };
        let mut targets: Vec<u32> =
            eval_batches(&corpus, 4, 2).flat_map(|batch| batch.targets).collect();
        targets.sort_unstable();
        let expected: Vec<u32> = (1..23).chain([25]).chain(27..37).collect();
        assert_eq!(targets, expected);
    }

    #[test]
    fn the_token_after_an_end_of_text_is_not_a_target() {
        let mut corpus = Corpus::new(Tokens::from_ids(vec![1, 2, 0, 3, 4]));
        corpus.end_of_text = Some(0);
        let batch = eval_batches(&corpus, 4, 1).next().unwrap();
        assert_eq!(batch.targets, [2, 0, IGNORE, 4]);
        assert_eq!(batch.counted(), 3);
    }
}
