//! First stage of training: counts the words. Texts are split only where every pattern splits, so jobs can count their
//! shares in parallel and the sum does not depend on their order.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;
use super::pattern::Pattern;
use super::progress::{Progress, TrainProgress, TrainStage};
use crate::error::{Error, Result};
use std::sync::OnceLock;

/// Runs the jobs 0 to n-1 once each, in any order or in parallel, and returns when all are done. With threads this can be
/// `|n, job| (0..n).into_par_iter().for_each(job)`. The result of training does not depend on it.
pub type RunAll = fn(usize, &(dyn Fn(usize) + Sync));

/// Runs jobs one after another: the [`RunAll`] of a single thread.
pub fn run_sequentially(jobs: usize, job: &(dyn Fn(usize) + Sync)) {
    (0..jobs).for_each(job);
}

/// Bytes of text per job.
const JOB: usize = 1 << 20;
/// Jobs between two progress reports. Limits the memory for the counts of single jobs.
const JOBS: usize = 32;

/// Definition of a word.
pub(super) enum Words {
    /// The pieces of a pattern.
    Pattern(Pattern),
    /// BERT's words.
    Bert(BertNormalizer),
    /// Single characters.
    Chars,
}

/// Words with their numbers of occurrences.
#[derive(Default)]
pub(super) struct WordCounts {
    words: BytesMap,
    counts: Vec<u64>,
}

impl WordCounts {
    fn add(&mut self, word: &[u8], count: u64) -> Result<()> {
        let number = self.words.insert(word)? as usize;
        if number == self.counts.len() {
            self.counts.push(0);
        }
        self.counts[number] += count;
        Ok(())
    }

    /// Returns the number of distinct words.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Returns the total length of all distinct words in bytes.
    pub(super) fn total_bytes(&self) -> usize {
        self.words.total_bytes()
    }

    /// Returns all words with their counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.words.iter().map(|(number, word)| (word, self.counts[number as usize]))
    }
}

/// Counts the words of all texts.
///
/// # Errors
/// Returns an error if there are no words, or if `progress` cancels.
pub(super) fn count_words<T: AsRef<str>>(
    words: &Words,
    texts: impl Iterator<Item = T>,
    run_all: RunAll,
    progress: Progress,
) -> Result<WordCounts> {
    let mut total = WordCounts::default();
    let mut texts = texts.fuse();
    let mut done = 0;
    loop {
        let mut size = 0;
        let mut batch = Vec::new();
        while size < JOB * JOBS
            && let Some(text) = texts.next()
        {
            size += text.as_ref().len();
            batch.push(text);
        }
        if batch.is_empty() {
            break;
        }
        let chunks: Vec<&str> = batch.iter().flat_map(|text| chunks(text.as_ref())).collect();
        for jobs in pack(&chunks).chunks(JOBS) {
            let results: Vec<OnceLock<Result<WordCounts>>> =
                jobs.iter().map(|_| OnceLock::new()).collect();
            run_all(jobs.len(), &|index| {
                results[index].get_or_init(|| count(words, jobs[index]));
            });
            for (result, job) in results.into_iter().zip(jobs) {
                let share = result.into_inner().unwrap_or_else(|| count(words, job))?;
                for (word, count) in share.iter() {
                    total.add(word, count)?;
                }
                done += job.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            }
            let report = TrainProgress { stage: TrainStage::Counting, done, total: 0 };
            if progress(report).is_break() {
                return Err(Error::Cancelled);
            }
        }
    }
    if total.len() == 0 {
        return Err(Error::EmptyData { what: "the tokenizer's training text".into() });
    }
    Ok(total)
}

fn count(words: &Words, texts: &[&str]) -> Result<WordCounts> {
    let mut counts = WordCounts::default();
    let mut outcome = Ok(());
    for text in texts {
        match words {
            Words::Pattern(pattern) => {
                for piece in pattern.pieces(text) {
                    counts.add(piece, 1)?;
                }
            }
            Words::Bert(normalizer) => BertNormalizer::words(&normalizer.normalize(text), |word| {
                if outcome.is_ok() {
                    outcome = counts.add(word.as_bytes(), 1);
                }
            }),
            Words::Chars => {
                for c in text.chars() {
                    counts.add(c.encode_utf8(&mut [0; 4]).as_bytes(), 1)?;
                }
            }
        }
    }
    outcome.map(|()| counts)
}

/// Splits a text into chunks of about [`JOB`] bytes. Each split is before a space that follows a visible ASCII character,
/// where every pattern starts a new piece in any context.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let pairs = rest.as_bytes().windows(2).skip(JOB - 1);
        let cut = pairs.into_iter().position(|pair| pair[0].is_ascii_graphic() && pair[1] == b' ');
        let (chunk, after) = rest.split_at(cut.map_or(rest.len(), |at| at + JOB));
        rest = after;
        Some(chunk)
    })
}

/// Groups neighbouring chunks into jobs of about [`JOB`] bytes.
fn pack<'c, 't>(chunks: &'c [&'t str]) -> Vec<&'c [&'t str]> {
    let mut jobs = Vec::new();
    let mut start = 0;
    let mut size = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        size += chunk.len();
        if size >= JOB / 2 || index + 1 == chunks.len() {
            jobs.push(&chunks[start..=index]);
            start = index + 1;
            size = 0;
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_a_text_into_jobs_preserves_its_pieces() {
        let line = "It's  10000 \t\n naïve\u{a0}words!! \r\n\r\n 'S end.   ";
        let text = line.repeat(JOB / line.len() + 4);
        // For every position of the first job's end in the line.
        for (shift, _) in line.char_indices() {
            let text = &text[shift..];
            let cuts: Vec<_> = chunks(text).collect();
            assert!(cuts.len() == 2 && cuts.concat() == text);
            for (_, pattern) in Pattern::NAMES {
                let apart = cuts.iter().flat_map(|chunk| pattern.pieces(chunk));
                assert!(pattern.pieces(text).eq(apart), "{pattern:?}, shifted by {shift}");
            }
        }
    }
}
