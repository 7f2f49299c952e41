//! The error type, with one variant per failure that a caller can tell apart.
//!
//! Every message is one line: what is wrong, where, and what to do about it. Settings are named by key, in backticks where
//! they occur inside a sentence; an edge replaces the keys by flags or labels:
//!
//! ```
//! use blankslate::error::Error;
//!
//! let error = Error::config("seq_len", "4096 is too long", "raise `max_position_embeddings`");
//! assert_eq!(error.to_string(), "seq_len: 4096 is too long; raise `max_position_embeddings`");
//! let flag = |key: &str| Some(format!("--{}", key.replace('_', "-")));
//! assert_eq!(error.message(flag), "--seq-len: 4096 is too long; raise --max-position-embeddings");
//! ```

mod json;
mod message;
mod printable;

use std::path::PathBuf;

pub use json::{json_problem, json_words};
pub use message::name_settings;
pub use printable::{printable, printable_json};

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with a message that tells the user what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting contradicts another or is out of range.
    #[error("{}; {remedy}", about(key, problem))]
    Config {
        /// Key of the setting.
        key: String,
        /// The problem.
        problem: String,
        /// The suggested fix, such as the values allowed.
        remedy: String,
    },
    /// An unknown key in a settings file, usually a typo.
    #[error("unknown key `{key}` in {file}; did you mean one of: {known}?")]
    UnknownKey {
        /// The unknown key.
        key: String,
        /// The file.
        file: String,
        /// The known keys, separated by commas.
        known: String,
    },
    /// A file is truncated, inconsistent or of another format.
    #[error("{what} cannot be read: {problem}; {remedy}")]
    Malformed {
        /// The file, or the part of it.
        what: String,
        /// The first problem that was found.
        problem: String,
        /// The suggested fix.
        remedy: String,
    },
    /// A file was written by a newer version of this program.
    #[error(
        "{what} cannot be read: its format version is {found}; this program reads versions up to {known}: update it"
    )]
    NewerFormat {
        /// The file.
        what: String,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// A required file of a checkpoint is missing.
    #[error("{file} is missing from {place}; {remedy}")]
    MissingFile {
        /// Name of the file.
        file: String,
        /// The directory or archive.
        place: String,
        /// The suggested fix.
        remedy: String,
    },
    /// A tensor that the configuration requires is not in the file.
    #[error(
        "tensor `{name}` is missing from {file}; check that config.json belongs to these weights"
    )]
    MissingTensor {
        /// Name of the tensor in the file.
        name: String,
        /// The file.
        file: String,
    },
    /// A tensor does not have the shape that the configuration requires.
    #[error(
        "tensor `{name}` in {file} has shape {found:?}, but the configuration needs {expected:?}; check that config.json belongs to these weights"
    )]
    Shape {
        /// Name of the tensor in the file.
        name: String,
        /// The file.
        file: String,
        /// The required shape.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A token id is outside the vocabulary.
    #[error(
        "token id {id} is outside the vocabulary of {vocab_size}; use the tokenizer this model was trained with"
    )]
    TokenOutOfRange {
        /// The id.
        id: u64,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// There are more tokens than the model has positions.
    #[error(
        "{tokens} tokens do not fit the model's context of {context}; shorten the prompt or use a model with a larger `max_position_embeddings`"
    )]
    ContextOverflow {
        /// Number of tokens.
        tokens: usize,
        /// `max_position_embeddings` of the model.
        context: usize,
    },
    /// A KV cache is continued with another number of sequences.
    #[error("the KV cache holds {cached} sequences, not {given}; create one for {given}")]
    CacheBatch {
        /// Number of sequences.
        given: usize,
        /// Number of sequences in the cache.
        cached: usize,
    },
    /// There is no data to train on or to evaluate.
    #[error("{what} is empty; give at least one non-empty text file or token shard")]
    EmptyData {
        /// Name of the data.
        what: String,
    },
    /// There are fewer tokens than one training window needs.
    #[error(
        "{what} has {tokens} tokens but needs at least {needed}; use more text or a smaller `seq_len`"
    )]
    DataTooShort {
        /// Name of the data.
        what: String,
        /// Number of tokens.
        tokens: usize,
        /// Tokens of a window: `seq_len + 1`.
        needed: usize,
    },
    /// Text is not UTF-8.
    #[error(
        "{what} is not UTF-8 text (first bad byte at offset {offset}); convert it, for example with `iconv -t utf-8`"
    )]
    NotUtf8 {
        /// The file or field.
        what: String,
        /// Offset of the first invalid byte.
        offset: usize,
    },
    /// Text is UTF-16 or UTF-32, as its byte order mark says.
    #[error(
        "{what} is {encoding} text, not UTF-8: it begins with that byte order mark; convert it, for example with `iconv -f {encoding} -t utf-8`"
    )]
    OtherEncoding {
        /// The file or field.
        what: String,
        /// Name of the encoding.
        encoding: &'static str,
    },
    /// The tokenizer has no token for a character or byte.
    #[error(
        "the tokenizer has no token for {what}; train it on text that contains it, or use a byte-level tokenizer"
    )]
    Unencodable {
        /// The character, escaped if it is not visible.
        what: String,
    },
    /// The vocabulary size is too small for the base alphabet and the special tokens.
    #[error("a vocabulary of {requested} is too small: {kind} needs at least {minimum} ({why})")]
    VocabTooSmall {
        /// Requested size.
        requested: usize,
        /// Smallest possible size.
        minimum: usize,
        /// Kind of tokenizer.
        kind: String,
        /// Items that the minimum counts.
        why: String,
    },
    /// The loss is NaN or infinite: training has diverged.
    #[error(
        "the loss became {loss} at step {step}; {saved}; try a lower `lr`, more `warmup_steps`, or a `grad_clip` of 1"
    )]
    Diverged {
        /// The step, from 1, whose loss was not finite.
        step: u64,
        /// The loss.
        loss: f32,
        /// Checkpoint that can still be used, in words.
        saved: String,
    },
    /// A weight of the model is NaN or infinite, as after training that diverged.
    #[error(
        "the model's tensor `{tensor}` holds numbers that are not finite, so it predicts nothing; use an earlier checkpoint, or train again with a lower `lr`"
    )]
    NonFiniteWeight {
        /// Name of the parameter.
        tensor: String,
    },
    /// The model computed NaN or infinite logits.
    #[error(
        "the model's logits are not finite numbers; its weights are damaged or too large: use an earlier checkpoint or download the model again"
    )]
    NonFiniteLogits,
    /// Something does not fit into memory.
    #[error("{what} needs about {needed}, but {limit}; {remedy}")]
    TooLarge {
        /// The object that is too large.
        what: String,
        /// Estimate of the bytes it needs.
        needed: String,
        /// Memory that is available, and where, in words.
        limit: String,
        /// The suggested fix.
        remedy: String,
    },
    /// The device does not exist, is not compiled in, or was lost.
    #[error("device {device}: {problem}; {remedy}")]
    Device {
        /// Name of the device.
        device: String,
        /// The problem.
        problem: String,
        /// The suggested fix.
        remedy: String,
    },
    /// Ranks of a run on several processes do not answer, or disagree.
    #[error("{operation}: {problem}; {remedy}")]
    Collective {
        /// The operation between ranks.
        operation: String,
        /// The problem.
        problem: String,
        /// The suggested fix.
        remedy: String,
    },
    /// The comparison with a reference failed.
    #[error(
        "{failed} of {total} comparisons with {reference} are above {tolerance:e} or missing; worst: {worst}"
    )]
    CheckFailed {
        /// Number of failed comparisons.
        failed: usize,
        /// Number of comparisons.
        total: usize,
        /// The reference.
        reference: String,
        /// Maximum error.
        tolerance: f64,
        /// Name and error of the worst comparison.
        worst: String,
    },
    /// An operation of the file system or of the browser's storage failed.
    #[error("{path}: {source}{}", remedy_for(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The newest checkpoint of a run is damaged, and there is an older one.
    #[error("{source}; {remedy}")]
    Damaged {
        /// The error of the newest one.
        source: Box<Error>,
        /// Instructions for using the older one.
        remedy: String,
    },
    /// The user cancelled the operation.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// Creates an error about a setting. `problem` and `remedy` start in lower case: a colon and a semicolon precede them.
    /// A problem that starts with "must" or "does not" continues the name as a sentence.
    pub fn config(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// Creates an error about an operation between the ranks of a run.
    pub fn collective(operation: impl Into<String>, problem: impl Into<String>) -> Self {
        let remedy =
            "see docs/cluster.md; `resume` continues a run from its last checkpoint".into();
        Self::Collective { operation: operation.into(), problem: problem.into(), remedy }
    }

    /// Creates an error about the format of `what`. `problem` and `remedy` start in lower case.
    pub fn malformed(
        what: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Malformed { what: what.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// Replaces the name of the file by `name` of it. Functions that parse bytes do not know the path.
    pub fn renamed(mut self, name: impl FnOnce(&str) -> String) -> Self {
        if let Self::Malformed { what: file, .. }
        | Self::NewerFormat { what: file, .. }
        | Self::MissingTensor { file, .. }
        | Self::Shape { file, .. }
        | Self::UnknownKey { file, .. } = &mut self
        {
            *file = name(file);
        }
        self
    }

    /// Decodes text from outside. `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::OtherEncoding`] for UTF-16 and UTF-32, which begin with their byte order mark; [`Error::NotUtf8`].
    pub fn decode(what: &str, bytes: Vec<u8>) -> Result<String> {
        let marks: [(&[u8], &str); 4] = [
            (b"\xff\xfe\0\0", "UTF-32"),
            (b"\0\0\xfe\xff", "UTF-32"),
            (b"\xff\xfe", "UTF-16"),
            (b"\xfe\xff", "UTF-16"),
        ];
        if let Some((_, encoding)) = marks.into_iter().find(|(mark, _)| bytes.starts_with(mark)) {
            return Err(Self::OtherEncoding { what: what.into(), encoding });
        }
        String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            Self::NotUtf8 { what: what.into(), offset }
        })
    }

    /// Adds how to use an older checkpoint to an error about the contents of the newest one.
    pub fn with_older_checkpoint(self, remedy: impl Into<String>) -> Self {
        match self {
            Self::Device { .. } | Self::Cancelled => self,
            damage => Self::Damaged { source: Box::new(damage), remedy: remedy.into() },
        }
    }

    /// Creates an error of the file system at `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// The error of a faulty disk, which has no kind of its own. Its number is the same on every Unix; that of Windows is another
/// error, which has a kind.
const EIO: i32 = 5;

/// Returns the name of a setting with its problem.
fn about(name: &str, problem: &str) -> String {
    let continues = ["must ", "does not "].iter().any(|verb| problem.starts_with(verb));
    format!("{name}{} {problem}", if continues { "" } else { ":" })
}

fn remedy_for(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match source.kind() {
        NotFound => "; check the path",
        NotADirectory => "; expected a directory but found a file: check the path",
        IsADirectory => "; expected a file but found a directory: check the path",
        AlreadyExists => "; the name is taken: choose another",
        PermissionDenied => "; check the permissions or choose another directory",
        StorageFull | QuotaExceeded => {
            "; free some space: nothing that was saved is lost, and `resume` continues a run"
        }
        FileTooLarge => {
            "; raise the limit on the size of files (`ulimit -f`) or use another disk: nothing that was saved is lost, and `resume` continues a run"
        }
        ReadOnlyFilesystem => "; choose a writable directory",
        _ if source.raw_os_error() == Some(EIO) => {
            "; the disk, or the connection to it, is faulty: check it, or use another disk"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_disks_have_remedies() {
        let words = |code| Error::io("a", std::io::Error::from_raw_os_error(code)).to_string();
        assert!(words(EIO).ends_with("check it, or use another disk"), "{}", words(EIO));
        let too_large = Error::io("a", std::io::ErrorKind::FileTooLarge.into()).to_string();
        assert!(too_large.contains("`ulimit -f`"), "{too_large}");
    }
}
