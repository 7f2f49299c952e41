//! Writes the shards of one split.
//!
//! A shard is written under a hidden name, and gets its header, its checksum and its own name when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::checksum::sha256_of_file;
use super::journal::{SplitProgress, sync_folder};
use crate::data::prepared::{Layout, ShardRecord, Split};
use crate::data::{HEADER_BYTES, TokenWidth, shard_header};
use crate::error::{Error, Result};

const BUFFER: usize = 1 << 18;

/// Format of the shards.
#[derive(Clone, Debug)]
pub struct ShardForm {
    /// Folder of the data.
    pub folder: PathBuf,
    /// Name of the data, which some layouts put into the names of files.
    pub name: String,
    /// Layout of the files.
    pub layout: Layout,
    /// Width of a token.
    pub width: TokenWidth,
    /// Token that ends a document.
    pub end_of_text: u32,
    /// Number of tokens after which a shard ends, unless its only document is longer.
    pub tokens: u64,
}

/// The shards of one split.
pub struct Shards {
    form: ShardForm,
    split: Split,
    complete: Vec<ShardRecord>,
    open: Option<Open>,
    bytes: Vec<u8>,
}

/// The shard that is being written.
struct Open {
    file: BufWriter<File>,
    documents: u64,
    tokens: u64,
}

impl Shards {
    /// Continues after `progress`: removes everything that was written later.
    ///
    /// # Errors
    /// A file is missing or shorter than recorded; the folder cannot be written.
    pub fn restore(form: ShardForm, split: Split, progress: &SplitProgress) -> Result<Self> {
        let complete = progress.shards.clone();
        let mut shards = Self { form, split, complete, open: None, bytes: Vec::new() };
        let index = shards.complete.len();
        let has_open = progress.open.is_some();
        shards.remove_from(index + usize::from(has_open))?;
        if let Some((documents, tokens)) = progress.open {
            let (path, part) = (shards.path(index), shards.part(index));
            if !part.exists() && path.exists() {
                fs::rename(&path, &part).map_err(|e| Error::io(&path, e))?;
            }
            let failed = |e| Error::io(&part, e);
            let mut file = OpenOptions::new().write(true).open(&part).map_err(failed)?;
            let length = shards.length(tokens);
            if file.metadata().map_err(failed)?.len() < length {
                let remedy = "delete the folder of the data, and start again";
                let problem = "it is shorter than recorded";
                return Err(Error::malformed(part.display().to_string(), problem, remedy));
            }
            file.set_len(length).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
            let file = BufWriter::with_capacity(BUFFER, file);
            shards.open = Some(Open { file, documents, tokens });
        }
        Ok(shards)
    }

    /// Writes a document.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, tokens: &[u32]) -> Result<()> {
        let more = tokens.len() as u64 + 1;
        let is_full = |open: &Open| open.tokens > 0 && open.tokens + more > self.form.tokens;
        if !self.form.layout.has_one_shard() && self.open.as_ref().is_some_and(is_full) {
            self.complete()?;
        }
        let end = [self.form.end_of_text];
        let parts = match self.form.layout.begins_with_end() {
            true => [&end[..], tokens],
            false => [tokens, &end[..]],
        };
        self.bytes.clear();
        for id in parts.into_iter().flatten() {
            match self.form.width {
                TokenWidth::U16 => self.bytes.extend((*id as u16).to_le_bytes()),
                TokenWidth::U32 => self.bytes.extend(id.to_le_bytes()),
            }
        }
        let path = self.part(self.complete.len());
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let header = if self.form.layout.has_header() { HEADER_BYTES } else { 0 };
                let file = create(&path, header).map_err(|e| Error::io(&path, e))?;
                self.open.insert(Open { file, documents: 0, tokens: 0 })
            }
        };
        open.file.write_all(&self.bytes).map_err(|e| Error::io(&path, e))?;
        open.documents += 1;
        open.tokens += more;
        Ok(())
    }

    /// Syncs the files to disk and returns the progress.
    ///
    /// # Errors
    /// The disk is full.
    pub fn commit(&mut self) -> Result<SplitProgress> {
        let path = self.part(self.complete.len());
        let open = match &mut self.open {
            None => None,
            Some(open) => {
                let written = open.file.flush().and_then(|()| open.file.get_ref().sync_data());
                written.map_err(|e| Error::io(&path, e))?;
                Some((open.documents, open.tokens))
            }
        };
        if open.is_some() {
            sync_folder(&self.form.folder)?;
        }
        Ok(SplitProgress { shards: self.complete.clone(), open })
    }

    /// Completes the shard that is being written, if there is one.
    ///
    /// # Errors
    /// The disk is full.
    pub fn complete(&mut self) -> Result<()> {
        let Some(Open { mut file, documents, tokens }) = self.open.take() else { return Ok(()) };
        let index = self.complete.len();
        let (path, part) = (self.path(index), self.part(index));
        let mut finish = || -> io::Result<()> {
            if self.form.layout.has_header() {
                // The shard's limit is below 2^32.
                let header = shard_header(self.form.width, tokens as u32);
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&header)?;
            }
            file.flush()?;
            file.get_ref().sync_all()
        };
        finish().map_err(|e| Error::io(&part, e))?;
        let sha256 = sha256_of_file(&part)?;
        fs::rename(&part, &path).map_err(|e| Error::io(&path, e))?;
        sync_folder(&self.form.folder)?;
        let file = self.form.layout.file_name(&self.form.name, self.split, index);
        let bytes = self.length(tokens);
        self.complete.push(ShardRecord { file, documents, tokens, bytes, sha256 });
        Ok(())
    }

    /// Returns the size of a shard of `tokens`.
    fn length(&self, tokens: u64) -> u64 {
        let header = if self.form.layout.has_header() { HEADER_BYTES } else { 0 };
        header as u64 + tokens * self.form.width.bytes() as u64
    }

    fn path(&self, index: usize) -> PathBuf {
        let ShardForm { folder, name, layout, .. } = &self.form;
        folder.join(layout.file_name(name, self.split, index))
    }

    /// Path of a shard that is not complete.
    fn part(&self, index: usize) -> PathBuf {
        let path = self.path(index);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.part"))
    }

    /// Removes all shards from number `first` on.
    fn remove_from(&self, first: usize) -> Result<()> {
        if self.form.layout.has_one_shard() && first > 0 {
            return Ok(());
        }
        for index in first.. {
            let removed = [self.path(index), self.part(index)].iter().try_fold(false, remove)?;
            if !removed || self.form.layout.has_one_shard() {
                break;
            }
        }
        Ok(())
    }
}

/// Removes a file if it exists; returns true if it or one before it existed.
fn remove(removed: bool, path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(removed),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Creates a file that begins with `header` bytes of zero.
fn create(path: &Path, header: usize) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(BUFFER, File::create(path)?);
    file.write_all(&vec![0; header])?;
    Ok(file)
}
