//! Output files of a preparation: shards, the temporary files of a shuffle, and the keys of the documents seen so far.

use std::path::{Path, PathBuf};

use super::dedup::{DedupRule, Seen};
use super::journal::{Journal, Progress};
use super::scatter::{BUCKETS, Bucket, Buckets, remove_bucket};
use super::shards::{ShardForm, Shards};
use super::work::{Documents, Encoded};
use crate::data::prepared::{Split, is_for_validation, shuffle_key};
use crate::error::Result;

/// Rules that decide whether a document is kept, and in which split.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Definition of duplicate documents.
    pub dedup: DedupRule,
    /// Share of the documents to validate on.
    pub val_fraction: f64,
    /// Seed of the order of the documents; none if they stay in order.
    pub shuffle: Option<u64>,
    /// Memory in bytes for the keys of documents, or for the order of those in a bucket.
    pub memory: usize,
}

/// All output files, and their progress at the next commit.
pub struct OutputFiles {
    rules: Rules,
    work: PathBuf,
    journal: Journal,
    progress: Progress,
    splits: [Shards; 2],
    buckets: Option<Buckets>,
    seen: Option<Seen>,
}

impl OutputFiles {
    /// Continues after `progress`. `work` is the folder for temporary files; `inputs` is the number of all inputs.
    ///
    /// # Errors
    /// A file is missing, damaged or cannot be written.
    pub fn restore(
        rules: Rules,
        form: &ShardForm,
        work: &Path,
        journal: Journal,
        progress: Progress,
        inputs: usize,
    ) -> Result<Self> {
        let shards = |split: Split, index: usize| {
            Shards::restore(form.clone(), split, &progress.splits[index])
        };
        let splits = [shards(Split::Train, 0)?, shards(Split::Validation, 1)?];
        let is_reading = progress.sources.len() < inputs;
        let scatters = is_reading && rules.shuffle.is_some();
        let buckets = scatters.then(|| Buckets::restore(work, &progress.buckets)).transpose()?;
        let looks = is_reading && rules.dedup != DedupRule::None;
        let seen = looks.then(|| Seen::open(work, progress.keys, rules.memory)).transpose()?;
        Ok(Self { rules, work: work.into(), journal, progress, splits, buckets, seen })
    }

    /// Returns the progress, including what is not committed yet.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Adds the next documents, without those that are left out. Returns their number of tokens.
    ///
    /// # Errors
    /// The disk is full; there is not enough memory for the keys.
    pub fn add(&mut self, new: Documents) -> Result<u64> {
        let mut tokens = 0;
        let count = new.documents.len() as u64;
        for document in new.documents {
            let number = self.progress.documents;
            self.progress.documents += 1;
            let Some(Encoded { hash, keys, tokens: ids }) = document else {
                self.progress.left_out.short += 1;
                continue;
            };
            tokens += ids.len() as u64 + 1;
            if let Some(seen) = &mut self.seen
                && seen.has_seen(&keys)?
            {
                self.progress.left_out.duplicates += 1;
                continue;
            }
            let split = match is_for_validation(hash, self.rules.val_fraction) {
                true => Split::Validation,
                false => Split::Train,
            };
            match (&mut self.buckets, self.rules.shuffle) {
                (Some(buckets), Some(seed)) => {
                    buckets.add(split, shuffle_key(seed, number), &ids)?;
                }
                _ => self.shards(split).add(&ids)?,
            }
        }
        if count > 0 {
            self.progress.records += count;
            self.progress.last = new.last;
        }
        if let Some(source) = new.end {
            self.progress.sources.push(source);
            self.progress.records = 0;
            self.progress.last = 0;
        }
        Ok(tokens)
    }

    /// Moves all scattered documents to the shards, in the order of their keys. `between` is called after each with the number of
    /// documents that were moved; it may commit, and returns false to stop.
    ///
    /// # Errors
    /// The disk is full; a file is damaged; an error of `between`.
    pub fn gather(
        &mut self,
        between: &mut dyn FnMut(&mut Self, u64) -> Result<bool>,
    ) -> Result<bool> {
        let (first, mut done) = self.progress.gathered;
        self.buckets = None;
        self.seen = None;
        let mut moved = 0;
        for number in first..BUCKETS {
            let mut bucket = Bucket::open(&self.work, number, self.rules.memory)?;
            for index in done as usize..bucket.len() {
                let (split, ids) = bucket.read(index)?;
                self.shards(split).add(&ids)?;
                moved += 1;
                self.progress.gathered = (number, index as u64 + 1);
                if !between(self, moved)? {
                    return Ok(false);
                }
            }
            done = 0;
            self.progress.gathered = (number + 1, 0);
            self.commit()?;
            remove_bucket(&self.work, number)?;
        }
        Ok(true)
    }

    /// Completes the last shards.
    ///
    /// # Errors
    /// The disk is full.
    pub fn complete(&mut self) -> Result<()> {
        for shards in &mut self.splits {
            shards.complete()?;
        }
        self.commit()
    }

    /// Syncs all files to disk, and then records the progress.
    ///
    /// # Errors
    /// The disk is full.
    pub fn commit(&mut self) -> Result<()> {
        for (progress, shards) in self.progress.splits.iter_mut().zip(&mut self.splits) {
            *progress = shards.commit()?;
        }
        if let Some(buckets) = &mut self.buckets {
            self.progress.buckets = buckets.commit()?;
        }
        if let Some(seen) = &mut self.seen {
            self.progress.keys = seen.commit()?;
        }
        self.journal.append(&self.progress)
    }

    fn shards(&mut self, split: Split) -> &mut Shards {
        match split {
            Split::Train => &mut self.splits[0],
            Split::Validation => &mut self.splits[1],
        }
    }
}
