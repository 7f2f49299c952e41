//! Duplicates of earlier documents. The keys of all documents that were kept are in memory, and in a log on disk from which an
//! interrupted preparation restores them.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use super::journal::sync_folder;
use crate::config::bytes;
use crate::error::{Error, Result};

/// File name of the log.
const LOG: &str = "keys";
/// Bytes of a key.
const KEY: usize = size_of::<u64>();
/// Bytes of the hash table per key of its capacity, including the control byte and the spare slots.
const ENTRY: usize = (KEY + 1) * 8 / 7;

/// Definition of duplicate documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DedupRule {
    /// None: all are kept.
    #[default]
    None,
    /// Those with the same text as an earlier one.
    Exact,
    /// Those that are nearly the same as an earlier one.
    MinHash,
}

impl DedupRule {
    /// Names and rules, for options.
    pub const NAMES: [(&str, Self); 3] =
        [("none", Self::None), ("exact", Self::Exact), ("minhash", Self::MinHash)];
}

/// The keys of all documents so far.
pub struct Seen {
    keys: FxHashSet<u64>,
    path: PathBuf,
    log: BufWriter<File>,
    logged: u64,
    memory: usize,
}

impl Seen {
    /// Opens the log in `folder` and restores its first `logged` keys. The keys may take `memory` bytes.
    ///
    /// # Errors
    /// The log cannot be read or has fewer keys; there is not enough memory.
    pub fn open(folder: &Path, logged: u64, memory: usize) -> Result<Self> {
        let path = folder.join(LOG);
        let failed = |e| Error::io(&path, e);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed)?;
        let mut reader = BufReader::new(&file);
        let mut keys = FxHashSet::default();
        let mut key = [0; KEY];
        for _ in 0..logged {
            reader.read_exact(&mut key).map_err(failed)?;
            require_room(&keys, 1, memory)?;
            keys.insert(u64::from_le_bytes(key));
        }
        file.set_len(logged * KEY as u64).map_err(failed)?;
        drop(reader);
        let mut file = file;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
        sync_folder(folder)?;
        Ok(Self { keys, log: BufWriter::new(file), path, logged, memory })
    }

    /// Returns true if one of these keys belongs to an earlier document. Otherwise adds them.
    ///
    /// # Errors
    /// There is not enough memory; the disk is full.
    pub fn has_seen(&mut self, keys: &[u64]) -> Result<bool> {
        if keys.iter().any(|key| self.keys.contains(key)) {
            return Ok(true);
        }
        require_room(&self.keys, keys.len(), self.memory)?;
        for key in keys {
            self.keys.insert(*key);
            self.log.write_all(&key.to_le_bytes()).map_err(|e| Error::io(&self.path, e))?;
        }
        self.logged += keys.len() as u64;
        Ok(false)
    }

    /// Makes the log durable and returns its number of keys.
    ///
    /// # Errors
    /// The disk is full.
    pub fn commit(&mut self) -> Result<u64> {
        let written = self.log.flush().and_then(|()| self.log.get_ref().sync_data());
        written.map_err(|e| Error::io(&self.path, e))?;
        Ok(self.logged)
    }
}

/// Returns an error if `more` keys do not fit into `memory` bytes. While a table grows, its old and new contents are both in
/// memory.
fn require_room(keys: &FxHashSet<u64>, more: usize, memory: usize) -> Result<()> {
    let capacity = keys.capacity();
    if keys.len() + more <= capacity {
        return Ok(());
    }
    let needed = 3 * capacity * ENTRY;
    if needed <= memory {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: format!("the table of {} duplicate keys", keys.len()),
        needed: bytes(needed as u64),
        limit: format!("it may take {}, half of --memory", bytes(memory as u64)),
        remedy: "raise --memory, and start the same command again: it continues".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_not_committed_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let open = |logged| Seen::open(folder.path(), logged, 1 << 20).unwrap();
        let mut seen = open(0);
        assert!(!seen.has_seen(&[1, 2]).unwrap());
        assert!(seen.has_seen(&[3, 2]).unwrap());
        // A key of a duplicate is not one of a document that was kept.
        assert!(!seen.has_seen(&[3]).unwrap());
        assert_eq!(seen.commit().unwrap(), 3);
        assert!(!seen.has_seen(&[4]).unwrap());
        drop(seen);
        let mut seen = open(3);
        assert!(seen.has_seen(&[3]).unwrap());
        assert!(!seen.has_seen(&[4]).unwrap());
    }

    #[test]
    fn the_table_stays_within_its_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path(), 0, 1 << 16).unwrap();
        let refused = (0..100_000).find_map(|key| seen.has_seen(&[key]).err());
        let problem = refused.unwrap().to_string();
        assert!(problem.contains("raise --memory"), "{problem}");
        assert!(seen.keys.capacity() * ENTRY <= 1 << 16);
    }
}
