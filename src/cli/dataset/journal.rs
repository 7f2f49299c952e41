//! Journal of a preparation: its progress at each commit, when all its files have been synced to disk.
//!
//! The first line of the file identifies the preparation; each later line updates the [`Progress`]. An incomplete last line is
//! ignored. Contents of files beyond the lengths in the last line were written after the commit, and are truncated.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inputs::Identity;
use crate::data::prepared::{LeftOut, ShardRecord, SourceRecord};
use crate::error::{Error, Result, json_problem};

/// Folder of the journal and of other files that are only needed during a preparation, in the folder of the data.
pub const WORK: &str = ".prepare";
/// File name of the journal.
const JOURNAL: &str = "journal.jsonl";

/// Identity of a preparation, which can only continue with the same one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Options that affect the output.
    pub settings: Value,
    /// The inputs.
    pub inputs: Vec<Identity>,
}

/// State of a preparation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Inputs that were read to their ends.
    pub sources: Vec<SourceRecord>,
    /// Number of records read of the next input.
    pub records: u64,
    /// Hash of the last of them.
    pub last: u64,
    /// Number of documents of all inputs.
    pub documents: u64,
    /// Documents that were left out.
    pub left_out: LeftOut,
    /// Number of keys in the log of documents that were seen.
    pub keys: u64,
    /// Lengths of the files that documents are scattered to before they are shuffled.
    pub buckets: Vec<u64>,
    /// Number of those files that were gathered, and of documents gathered from the next one.
    pub gathered: (usize, u64),
    /// State of the two splits.
    pub splits: [SplitProgress; 2],
}

/// State of one split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitProgress {
    /// Complete shards.
    pub shards: Vec<ShardRecord>,
    /// Documents and tokens of the shard that is being written, if there is one.
    pub open: Option<(u64, u64)>,
}

impl Progress {
    /// Returns the part that is new since `earlier`: lists without their beginnings, all other values as they are.
    fn since(&self, earlier: &Self) -> Self {
        let mut new = self.clone();
        new.sources.drain(..earlier.sources.len());
        for (split, earlier) in new.splits.iter_mut().zip(&earlier.splits) {
            split.shards.drain(..earlier.shards.len());
        }
        new
    }

    /// Reverses [`Self::since`].
    fn followed_by(self, mut new: Self) -> Self {
        new.sources.splice(..0, self.sources);
        for (split, earlier) in new.splits.iter_mut().zip(self.splits) {
            split.shards.splice(..0, earlier.shards);
        }
        new
    }
}

/// The journal, open for appending.
pub struct Journal {
    path: PathBuf,
    file: File,
    written: Progress,
}

impl Journal {
    /// Opens the journal in the folder `out`, or begins one, and returns the progress that it records.
    ///
    /// # Errors
    /// It belongs to another preparation; it is damaged or cannot be written.
    pub fn open(out: &Path, start: &Start) -> Result<(Self, Progress)> {
        let folder = out.join(WORK);
        let path = folder.join(JOURNAL);
        let failed = |e| Error::io(&path, e);
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let text = fs::read(&path).map_err(failed)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse_error = |e| {
            let remedy = "delete the folder of the data, and start again";
            Error::malformed(path.display().to_string(), json_problem(&e), remedy)
        };
        let mut progress = Progress::default();
        match lines.next() {
            None => {
                file.set_len(0).map_err(failed)?;
                let line = serde_json::to_string(start).expect("plain data serializes");
                file.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                for folder in [&folder, out] {
                    sync_folder(folder)?;
                }
            }
            Some(first) => {
                start.require_same(&serde_json::from_slice(first).map_err(parse_error)?, out)?;
                for line in lines {
                    let new = serde_json::from_slice(line).map_err(parse_error)?;
                    progress = progress.followed_by(new);
                }
                file.set_len(whole as u64).map_err(failed)?;
                std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
            }
        }
        Ok((Self { path, file, written: progress.clone() }, progress))
    }

    /// Appends the progress and syncs the journal to disk. Everything that the progress counts must already be synced.
    ///
    /// # Errors
    /// The disk is full.
    pub fn append(&mut self, progress: &Progress) -> Result<()> {
        let new = progress.since(&self.written);
        let line = serde_json::to_string(&new).expect("plain data serializes");
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.and_then(|()| self.file.sync_data()).map_err(|e| Error::io(&self.path, e))?;
        self.written = progress.clone();
        Ok(())
    }
}

impl Start {
    /// Returns an error if the preparation began with other options or inputs.
    fn require_same(&self, begun: &Self, out: &Path) -> Result<()> {
        let refused = |problem: String| {
            let out = out.display();
            let problem = format!("{out} has a preparation that was not finished, {problem}");
            Err(Error::config("--out", problem, "continue with the same command, or delete it"))
        };
        for (key, found) in self.settings.as_object().into_iter().flatten() {
            let of_begun = &begun.settings[key];
            if of_begun != found {
                return refused(format!("with {key} {of_begun} instead of {found}"));
            }
        }
        let differs = |(a, b): &(&Identity, &Identity)| a != b;
        if let Some((begun, _)) = begun.inputs.iter().zip(&self.inputs).find(differs) {
            return refused(format!("in which {} was another input or has changed", begun.path));
        }
        if begun.inputs.len() != self.inputs.len() {
            let [before, now] = [begun, self].map(|start| start.inputs.len());
            return refused(format!("of {before} inputs instead of {now}"));
        }
        Ok(())
    }
}

/// Syncs the entries of a folder to disk. Not needed on Windows, where folders cannot be opened.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).map_or(Ok(()), |folder| folder.sync_all());
    synced.map_err(|e| Error::io(folder, e))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shard(file: &str) -> ShardRecord {
        ShardRecord { file: file.into(), documents: 1, tokens: 2, bytes: 4, sha256: "a".into() }
    }

    #[test]
    fn a_journal_is_read_up_to_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let start = Start { settings: json!({"seed": 1}), inputs: Vec::new() };
        let (mut journal, mut progress) = Journal::open(folder.path(), &start).unwrap();
        assert_eq!(progress, Progress::default());
        for number in 0..3 {
            progress.documents += 10;
            progress.splits[0].shards.push(shard(&format!("{number}")));
            progress.splits[1].open = Some((number, 7));
            journal.append(&progress).unwrap();
        }
        drop(journal);
        let path = folder.path().join(WORK).join(JOURNAL);
        let text = fs::read(&path).unwrap();
        for torn in ["", "{\"sources\": [], \"rec"] {
            fs::write(&path, [&text, torn.as_bytes()].concat()).unwrap();
            let (_, found) = Journal::open(folder.path(), &start).unwrap();
            assert_eq!(found, progress);
        }
        // Without the end of its last line, the one before counts.
        fs::write(&path, &text[..text.len() - 1]).unwrap();
        let (_, found) = Journal::open(folder.path(), &start).unwrap();
        assert_eq!((found.documents, found.splits[0].shards.len()), (20, 2));
        let other = Start { settings: json!({"seed": 2}), inputs: Vec::new() };
        let problem = Journal::open(folder.path(), &other).err().unwrap().to_string();
        assert!(problem.contains("with seed 1 instead of 2"), "{problem}");
    }
}
