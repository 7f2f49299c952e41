//! The first half of training: how often each word occurs. Texts are cut where every pattern cuts,
//! so jobs can count their shares at once, and the sum is the same in any order.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;
use super::pattern::Pattern;
use super::{TrainProgress, TrainStage};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::sync::OnceLock;

/// Runs jobs 0 to n-1, each once, in any order or at once, and returns when all are done.
/// An edge that has threads passes theirs, for instance
/// `|n, job| (0..n).into_par_iter().for_each(job)`; the result of training is the same.
pub type RunAll = fn(usize, &(dyn Fn(usize) + Sync));

/// One job after another: the [`RunAll`] for a single thread.
pub fn in_turn(jobs: usize, job: &(dyn Fn(usize) + Sync)) {
    (0..jobs).for_each(job);
}

/// Bytes of text in one job.
const JOB: usize = 1 << 20;
/// Jobs between two reports of progress: the memory that counts of single jobs may take.
const JOBS: usize = 32;

/// Called with every report of progress; `Break` stops training with [`Error::Cancelled`].
pub(super) type Progress<'a> = &'a mut dyn FnMut(TrainProgress) -> ControlFlow<()>;

/// What counts as a word.
pub(super) enum Words {
    /// The pieces of a pattern.
    Pattern(Pattern),
    /// BERT's words.
    Bert(BertNormalizer),
    /// Single characters.
    Chars,
}

/// Words with the number of their occurrences.
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

    /// Distinct words.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Bytes of all distinct words together.
    pub(super) fn total_bytes(&self) -> usize {
        self.words.total_bytes()
    }

    /// All words with their counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.words.iter().map(|(number, word)| (word, self.counts[number as usize]))
    }
}

/// Counts the words of all texts. Errors if there are none.
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
            Words::Bert(normalizer) => normalizer.words(text, |word| {
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

/// Cuts a text into shares of about [`JOB`] bytes, each cut before a space that follows visible
/// ASCII: there every pattern begins a new piece, whatever stands around it.
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

/// Puts neighbouring chunks together until each job has about [`JOB`] bytes.
fn pack<'c, 't>(chunks: &'c [&'t str]) -> Vec<&'c [&'t str]> {
    let mut jobs = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, chunk) in chunks.iter().enumerate() {
        size += chunk.len();
        if size >= JOB / 2 || index + 1 == chunks.len() {
            jobs.push(&chunks[start..=index]);
            (start, size) = (index + 1, 0);
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_a_text_into_jobs_changes_no_piece() {
        let line = "It's  10000 \t\n naïve\u{a0}words!! \r\n\r\n 'S end.   ";
        let text = line.repeat(JOB / line.len() + 4);
        // Wherever in the line the first job's bytes end.
        for (shift, _) in line.char_indices() {
            let text = &text[shift..];
            let cuts: Vec<_> = chunks(text).collect();
            assert!(cuts.len() == 2 && cuts.concat() == text);
            for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::Llama3] {
                let apart = cuts.iter().flat_map(|chunk| pattern.pieces(chunk));
                assert!(pattern.pieces(text).eq(apart), "{pattern:?}, shifted by {shift}");
            }
        }
    }
}
