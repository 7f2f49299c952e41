//! Records that the readers yield, each of which is a document or contains one.

use crate::error::{Error, Result};

/// Maximum bytes of a document. A longer text becomes several documents, split at line breaks if possible, so that memory is
/// bounded.
pub const LONGEST: usize = 4 << 20;
/// Maximum bytes of a record in a file of records: a line of JSON, or a field of CSV.
pub const LONGEST_RECORD: usize = 4 * LONGEST;

/// One record of a file.
pub struct Record {
    /// Number of its line, or of the record itself, for messages.
    pub place: u64,
    /// Its content.
    pub content: Content,
}

/// The content of a record.
pub enum Content {
    /// A document.
    Text(String),
    /// A JSON object that holds a document, not parsed yet.
    Json(Vec<u8>),
}

impl Content {
    /// Returns the size in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Json(bytes) => bytes.len(),
        }
    }
}

/// A file of records, read one at a time.
pub trait Records {
    /// Returns the next record; none at the end of the file.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    fn next(&mut self) -> Result<Option<Record>>;
}

/// Converts an error of reading the file `name`. An error of a decompressor means that the file is damaged.
pub fn read_error(name: &str, error: std::io::Error) -> Error {
    if error.raw_os_error().is_some() {
        return Error::io(name, error);
    }
    let remedy = "the file is damaged or incomplete: copy or download it again";
    Error::malformed(name, error.to_string(), remedy)
}

/// The error for a record that does not fit into memory.
pub fn too_long(name: &str, place: &str) -> Error {
    let limit = LONGEST_RECORD >> 20;
    Error::malformed(
        name,
        format!("{place} is longer than {limit} MiB"),
        "split it into several records, or check that it is not damaged",
    )
}
