//! The inputs of a preparation: files, folders and standard input, and the format of each.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::folder::Folder;
use super::super::stderr::note;
use super::checksum::hex;
use super::compressed::Compression;
use super::csv::CsvFile;
use super::jsonl::JsonLines;
use super::records::Records;
use super::text::TextFile;
use crate::error::{Error, Result};

/// Name of standard input.
pub const STDIN: &str = "-";

/// Format of a file, apart from its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// One JSON object a line.
    JsonLines,
    /// Values separated by commas.
    Csv,
    /// Values separated by tabs.
    Tsv,
}

impl Format {
    /// Names and formats, for options.
    pub const NAMES: [(&str, Self); 4] =
        [("txt", Self::Text), ("jsonl", Self::JsonLines), ("csv", Self::Csv), ("tsv", Self::Tsv)];

    /// Returns the format that a file name indicates by its extension. `name` is without the extension of a compression.
    fn of(name: &str) -> Option<Self> {
        let ending = Path::new(name).extension()?.to_str()?.to_lowercase();
        let known = match ending.as_str() {
            "md" | "text" => "txt",
            "ndjson" => "jsonl",
            other => other,
        };
        Self::NAMES.iter().find(|(name, _)| *name == known).map(|(_, format)| *format)
    }
}

/// One file of documents, or standard input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its path as given, or [`STDIN`].
    pub name: String,
    /// Identity, by which it is recognized when a preparation continues.
    pub identity: Identity,
    path: PathBuf,
    format: Format,
    compression: Compression,
}

/// State of a file, which must not change while it is prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its path as given.
    pub path: String,
    /// Its size; 0 for standard input.
    pub bytes: u64,
    /// Time of its last change in nanoseconds since 1970; 0 if unknown.
    pub modified: u64,
}

/// Options of reading documents.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Field or column with the documents.
    pub text_field: String,
    /// Text between the documents of a text file.
    pub separator: Option<String>,
}

/// Lists the inputs that `paths` name: folders are read recursively, in the order of their names, without hidden files and the
/// files of runs. `fallback` is the format of standard input and of files without a known extension. `out` is the output folder.
///
/// # Errors
/// A path cannot be read; a file has no known extension; there is no file; standard input is named twice.
pub fn list(paths: &[PathBuf], fallback: Option<Format>, out: &Path) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            inputs.push(stdin(fallback.unwrap_or(Format::Text)));
        } else if path.is_dir() {
            let mut left_out = 0;
            let Folder { files, mut runs } = Folder::list(path, Some(out))?;
            runs.retain(|run| fs::canonicalize(run).ok() != fs::canonicalize(out).ok());
            if !runs.is_empty() {
                let runs: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
                note(&format!("the files of runs are left out of the data: {}", runs.join(", ")));
            }
            for file in files {
                match format_of(&file).or(fallback) {
                    Some(format) => inputs.push(Input::file(&file, format)?),
                    None => left_out += 1,
                }
            }
            if left_out > 0 {
                let folder = path.display();
                note(&format!("{left_out} files in {folder} of no known format are left out"));
            }
        } else {
            let format = format_of(path).or(fallback).ok_or_else(|| unknown_format(path))?;
            inputs.push(Input::file(path, format)?);
        }
    }
    if inputs.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::EmptyData { what: names.join(", ") });
    }
    if inputs.iter().filter(|input| input.is_stdin()).count() > 1 {
        let remedy = "name it once";
        return Err(Error::config("INPUT", "standard input is named several times", remedy));
    }
    Ok(inputs)
}

fn format_of(path: &Path) -> Option<Format> {
    Format::of(Compression::of(&path.to_string_lossy()).1)
}

fn unknown_format(path: &Path) -> Error {
    let name = path.display().to_string();
    let remedy = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => "a list of records can be converted with `jq -c '.[]'` to JSON Lines",
        Some("parquet") => {
            "convert it to JSON Lines, for example with DuckDB: `COPY (FROM 'a.parquet') TO 'a.jsonl'`"
        }
        _ => "name the format with --format",
    };
    let problem = format!(
        "{name} is none of .txt, .md, .jsonl, .csv and .tsv, also followed by .gz, .zst or .xz"
    );
    Error::config("INPUT", problem, remedy)
}

fn stdin(format: Format) -> Input {
    let identity = Identity { path: STDIN.into(), bytes: 0, modified: 0 };
    let compression = Compression::None;
    Input { name: STDIN.into(), identity, path: STDIN.into(), format, compression }
}

impl Input {
    fn file(path: &Path, format: Format) -> Result<Self> {
        let name = path.display().to_string();
        let found = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        let modified = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let identity = Identity {
            path: name.clone(),
            bytes: found.len(),
            modified: modified.map_or(0, |time| time.as_nanos() as u64),
        };
        let compression = Compression::of(&name).0;
        Ok(Self { name, identity, path: path.into(), format, compression })
    }

    /// Returns true for standard input.
    pub fn is_stdin(&self) -> bool {
        self.name == STDIN
    }

    /// Returns the name for messages.
    pub fn describe(&self) -> &str {
        if self.is_stdin() { "standard input" } else { &self.name }
    }

    /// Opens the input. `meter` counts the bytes that are read.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, options: &ReadOptions, meter: &Arc<AtomicU64>) -> Result<Opened> {
        let source: Box<dyn Read + Send> = if self.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&self.path).map_err(|e| Error::io(&self.path, e))?)
        };
        let tally = Arc::new(Mutex::new(Tally::default()));
        let counted = Counted { source, tally: tally.clone(), meter: meter.clone() };
        let input = self.compression.decompress(counted);
        let name = self.describe();
        let records: Box<dyn Records> = match self.format {
            Format::Text => Box::new(TextFile::new(name, input, options.separator.as_deref())),
            Format::JsonLines => Box::new(JsonLines::new(name, input)),
            Format::Csv => Box::new(CsvFile::new(name, input, b',', &options.text_field)),
            Format::Tsv => Box::new(CsvFile::new(name, input, b'\t', &options.text_field)),
        };
        Ok(Opened { records, tally })
    }
}

/// An input that is being read.
pub struct Opened {
    /// Its records.
    pub records: Box<dyn Records>,
    tally: Arc<Mutex<Tally>>,
}

impl Opened {
    /// Returns the size and the hexadecimal SHA-256 of the bytes read.
    pub fn finish(self) -> (u64, String) {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.bytes, hex(tally.hasher.clone().finalize().as_slice()))
    }
}

/// Size and hash of the bytes read from a file.
#[derive(Default)]
struct Tally {
    bytes: u64,
    hasher: Sha256,
}

/// Counts and hashes the bytes of a file before decompression.
struct Counted {
    source: Box<dyn Read + Send>,
    tally: Arc<Mutex<Tally>>,
    meter: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.bytes += count as u64;
        tally.hasher.update(&out[..count]);
        self.meter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_follows_from_the_name() {
        let format = |name: &str| format_of(Path::new(name));
        assert_eq!(format("a.jsonl.gz"), Some(Format::JsonLines));
        assert_eq!(format("a.b/c.TXT"), Some(Format::Text));
        assert_eq!(format("README.md.xz"), Some(Format::Text));
        assert_eq!(format("a.tsv.zst"), Some(Format::Tsv));
        assert_eq!((format("a.json"), format("a.gz"), format("a")), (None, None, None));
    }
}
