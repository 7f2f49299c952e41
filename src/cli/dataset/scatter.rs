//! Shuffles documents of any number on disk: scatters them to files by their keys in the shuffled order, and gathers each file in
//! the order of the keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::journal::sync_folder;
use crate::config::bytes;
use crate::data::prepared::Split;
use crate::error::{Error, Result};

/// Number of files.
pub const BUCKETS: usize = 64;
/// Bytes before the tokens of a document: its key, its number of tokens, its split.
const HEAD: usize = 8 + 4 + 1;
const BUFFER: usize = 1 << 16;

/// The files, open for appending.
pub struct Buckets {
    folder: PathBuf,
    files: Vec<BufWriter<File>>,
    lengths: Vec<u64>,
    committed: Vec<u64>,
    record: Vec<u8>,
}

impl Buckets {
    /// Opens the files in `folder` and cuts them to `lengths`, which may be empty.
    ///
    /// # Errors
    /// A file cannot be written or is shorter.
    pub fn restore(folder: &Path, lengths: &[u64]) -> Result<Self> {
        let mut files = Vec::new();
        let mut all = lengths.to_vec();
        all.resize(BUCKETS, 0);
        for (bucket, length) in all.iter().enumerate() {
            let path = path_of(folder, bucket);
            let open = || -> io::Result<File> {
                let mut options = OpenOptions::new();
                let mut file = options.write(true).create(true).truncate(false).open(&path)?;
                if file.metadata()?.len() < *length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.set_len(*length)?;
                file.seek(SeekFrom::End(0))?;
                Ok(file)
            };
            let file = open().map_err(|e| Error::io(&path, e))?;
            files.push(BufWriter::with_capacity(BUFFER, file));
        }
        sync_folder(folder)?;
        let committed = all.clone();
        Ok(Self { folder: folder.into(), files, lengths: all, committed, record: Vec::new() })
    }

    /// Writes a document to the file that its key belongs to.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, split: Split, key: u64, tokens: &[u32]) -> Result<()> {
        let bucket = (key >> (64 - BUCKETS.trailing_zeros())) as usize;
        self.record.clear();
        self.record.extend(key.to_le_bytes());
        self.record.extend((tokens.len() as u32).to_le_bytes());
        self.record.push(u8::from(split == Split::Validation));
        self.record.extend(tokens.iter().flat_map(|id| id.to_le_bytes()));
        let written = self.files[bucket].write_all(&self.record);
        written.map_err(|e| Error::io(path_of(&self.folder, bucket), e))?;
        self.lengths[bucket] += self.record.len() as u64;
        Ok(())
    }

    /// Syncs all files to disk and returns their lengths.
    ///
    /// # Errors
    /// The disk is full.
    pub fn commit(&mut self) -> Result<Vec<u64>> {
        for (bucket, file) in self.files.iter_mut().enumerate() {
            if self.lengths[bucket] != self.committed[bucket] {
                let written = file.flush().and_then(|()| file.get_ref().sync_data());
                written.map_err(|e| Error::io(path_of(&self.folder, bucket), e))?;
            }
        }
        self.committed.clone_from(&self.lengths);
        Ok(self.lengths.clone())
    }
}

/// One file, to be read in the order of the keys.
pub struct Bucket {
    path: PathBuf,
    file: BufReader<File>,
    /// Key, offset of the tokens, number of tokens and split of each document, in order.
    documents: Vec<(u64, u64, u32, Split)>,
    bytes: Vec<u8>,
}

impl Bucket {
    /// Opens file `bucket` in `folder`. The places of its documents may take `memory` bytes.
    ///
    /// # Errors
    /// The file is damaged; it has too many documents.
    pub fn open(folder: &Path, bucket: usize, memory: usize) -> Result<Self> {
        let path = path_of(folder, bucket);
        let failed = |e| Error::io(&path, e);
        let mut file = BufReader::new(File::open(&path).map_err(failed)?);
        let length = file.get_ref().metadata().map_err(failed)?.len();
        let mut documents = Vec::new();
        let mut offset = 0;
        while offset < length {
            let mut head = [0; HEAD];
            file.read_exact(&mut head).map_err(failed)?;
            let [a, b, c, d, e, f, g, h, i, j, k, l, is_val] = head;
            let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let tokens = u32::from_le_bytes([i, j, k, l]);
            let split = if is_val == 1 { Split::Validation } else { Split::Train };
            documents.push((key, offset + HEAD as u64, tokens, split));
            // While a vector grows, its old and new contents are both in memory.
            let needed = 3 * documents.len() * size_of::<(u64, u64, u32, Split)>();
            if needed > memory {
                return Err(Error::TooLarge {
                    what: format!("the order of the documents in {}", path.display()),
                    needed: bytes(needed as u64),
                    limit: format!("it may take {}, half of --memory", bytes(memory as u64)),
                    remedy: "raise --memory, and start the same command again: it continues".into(),
                });
            }
            file.seek_relative(4 * i64::from(tokens)).map_err(failed)?;
            offset += HEAD as u64 + 4 * u64::from(tokens);
        }
        documents.sort_unstable_by_key(|(key, ..)| *key);
        Ok(Self { path, file, documents, bytes: Vec::new() })
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Reads document `index` in the order of the keys.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<(Split, Vec<u32>)> {
        let (_, offset, tokens, split) = self.documents[index];
        self.bytes.resize(4 * tokens as usize, 0);
        let read = self.file.seek(SeekFrom::Start(offset));
        let read = read.and_then(|_| self.file.read_exact(&mut self.bytes));
        read.map_err(|e| Error::io(&self.path, e))?;
        let ids = self.bytes.chunks_exact(4);
        Ok((split, ids.map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]])).collect()))
    }
}

/// Removes file `bucket`, whose documents are in shards.
pub fn remove_bucket(folder: &Path, bucket: usize) -> Result<()> {
    let path = path_of(folder, bucket);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

fn path_of(folder: &Path, bucket: usize) -> PathBuf {
    folder.join(format!("bucket-{bucket:02}"))
}
