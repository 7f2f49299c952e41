//! One error type: one variant per failure a caller can tell apart.
//!
//! Every message is one line that says what went wrong, where, and what to do about it.

use std::path::PathBuf;

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, in words a user can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that contradicts another, or lies outside its range.
    #[error("{key}: {problem}; {remedy}")]
    Config {
        /// The setting's key.
        key: String,
        /// The problem.
        problem: String,
        /// What to use instead.
        remedy: String,
    },
    /// A key that no part of blankslate reads: most often a typing mistake.
    #[error("unknown key `{key}` in {file}; did you mean one of: {known}?")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// Where it stands.
        file: String,
        /// The keys that would be understood.
        known: String,
    },
    /// A file is truncated, inconsistent or of another format.
    #[error("{what} cannot be read: {problem}; {remedy}")]
    Malformed {
        /// The file or part of it.
        what: String,
        /// The first thing found wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A file that a checkpoint must have and has not.
    #[error("{file} is missing from {place}; {remedy}")]
    MissingFile {
        /// The file's name.
        file: String,
        /// The directory or archive.
        place: String,
        /// What to do about it.
        remedy: String,
    },
    /// A tensor the configuration asks for is not in the file.
    #[error(
        "tensor `{name}` is missing from {file}; check that config.json belongs to these weights"
    )]
    MissingTensor {
        /// The tensor's name in the file's own naming.
        name: String,
        /// The file.
        file: String,
    },
    /// A tensor of another shape than the configuration asks for.
    #[error(
        "tensor `{name}` in {file} has shape {found:?}, but the configuration needs {expected:?}; check that config.json belongs to these weights"
    )]
    Shape {
        /// The tensor's name in the file's own naming.
        name: String,
        /// The file.
        file: String,
        /// The shape the configuration implies.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A token id that the vocabulary does not have.
    #[error(
        "token id {id} is outside the vocabulary of {vocab_size}; use the tokenizer this model was trained with"
    )]
    TokenOutOfRange {
        /// The id.
        id: u64,
        /// The number of ids there are.
        vocab_size: usize,
    },
    /// More tokens than the model has positions for.
    #[error(
        "{tokens} tokens do not fit the model's context of {context}; shorten the prompt or use a model with a larger `max_position_embeddings`"
    )]
    ContextOverflow {
        /// Tokens given.
        tokens: usize,
        /// The model's `max_position_embeddings`.
        context: usize,
    },
    /// A cache of keys and values is continued with another number of sequences.
    #[error("the cache holds {cached} sequences, not {given}; make one for {given}")]
    CacheBatch {
        /// Sequences given.
        given: usize,
        /// Sequences in the cache.
        cached: usize,
    },
    /// Nothing to train on or to evaluate.
    #[error("{what} is empty; give at least one non-empty text file or token shard")]
    EmptyData {
        /// The empty data.
        what: String,
    },
    /// Fewer tokens than one training window needs.
    #[error(
        "{what} has {tokens} tokens, but one window needs {needed}; use more text or a smaller `seq_len`"
    )]
    DataTooShort {
        /// Which split.
        what: String,
        /// Tokens there are.
        tokens: usize,
        /// Tokens one window takes (`seq_len + 1`).
        needed: usize,
    },
    /// Text that is not UTF-8.
    #[error(
        "{what} is not UTF-8 text (first bad byte at offset {offset}); convert it, for example with `iconv -t utf-8`"
    )]
    NotUtf8 {
        /// The file or field.
        what: String,
        /// Offset in bytes.
        offset: usize,
    },
    /// A character or byte that the tokenizer has no token for.
    #[error(
        "the tokenizer has no token for {what}; train it on text that contains it, or use a byte-level tokenizer"
    )]
    Unencodable {
        /// The character, printed visibly.
        what: String,
    },
    /// A vocabulary that cannot hold its base alphabet and special tokens.
    #[error("a vocabulary of {requested} is too small: {kind} needs at least {minimum} ({why})")]
    VocabTooSmall {
        /// Size asked for.
        requested: usize,
        /// Smallest possible size.
        minimum: usize,
        /// Which tokenizer.
        kind: String,
        /// Composition of the minimum.
        why: String,
    },
    /// The loss is NaN or infinite: training has diverged.
    #[error(
        "the loss became {loss} at step {step}; {saved}; try a lower `lr`, more `warmup_steps`, or a `grad_clip` of 1"
    )]
    Diverged {
        /// The step (1-based) whose loss was not finite.
        step: u64,
        /// The loss as read back.
        loss: f32,
        /// Which checkpoint is still good, in words.
        saved: String,
    },
    /// A device that does not exist, is not compiled in, or was lost.
    #[error("device {device}: {problem}; {remedy}")]
    Device {
        /// The device asked for.
        device: String,
        /// The problem.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Comparison with a reference failed.
    #[error(
        "{failed} of {total} comparisons with {reference} are above {tolerance:e} or missing; worst: {worst}"
    )]
    CheckFailed {
        /// Comparisons that failed.
        failed: usize,
        /// Comparisons made.
        total: usize,
        /// The reference.
        reference: String,
        /// The bound.
        tolerance: f64,
        /// The worst one and its figure.
        worst: String,
    },
    /// The file system or the browser's storage refused.
    #[error("{path}: {source}{}", remedy_for(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// Returns the message with settings named by `name`, an edge's word for a setting's key.
    ///
    /// The keys of files are not renamed: people see them there as they are.
    pub fn message(&self, name: impl Fn(&str) -> Option<String>) -> String {
        match self {
            Self::Config { key, problem, remedy } => {
                let key = name(key).unwrap_or_else(|| key.clone());
                name_settings(&format!("{key}: {problem}; {remedy}"), name)
            }
            Self::UnknownKey { .. } | Self::MissingTensor { .. } | Self::Shape { .. } => {
                self.to_string()
            }
            other => name_settings(&other.to_string(), name),
        }
    }

    /// A setting error. `remedy` starts in lower case: it follows a semicolon.
    pub fn config(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// A format error. `remedy` starts in lower case: it follows a semicolon.
    pub fn malformed(
        what: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Malformed { what: what.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The same with its file called what `name` makes of the file's name: who reads bytes does not know where they lie.
    pub fn renamed(mut self, name: impl FnOnce(&str) -> String) -> Self {
        if let Self::Malformed { what: file, .. }
        | Self::MissingTensor { file, .. }
        | Self::Shape { file, .. }
        | Self::UnknownKey { file, .. } = &mut self
        {
            *file = name(file);
        }
        self
    }

    /// A file-system error with its path.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// Returns `text` with every setting that stands in backticks replaced by what `name` calls it.
///
/// Other words in backticks stay as they are.
pub fn name_settings(text: &str, name: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split('`');
    let mut named = parts.next().unwrap_or_default().to_string();
    while let Some(quoted) = parts.next() {
        let Some(after) = parts.next() else {
            return named + "`" + quoted;
        };
        named += &name(quoted).unwrap_or_else(|| format!("`{quoted}`"));
        named += after;
    }
    named
}

fn remedy_for(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match source.kind() {
        NotFound => "; check the path",
        NotADirectory => "; a file stands where a directory is looked for: check the path",
        IsADirectory => "; a directory stands where a file is looked for: check the path",
        AlreadyExists => "; something else has that name: choose another",
        PermissionDenied => "; check the permissions or choose another directory",
        StorageFull | QuotaExceeded | FileTooLarge => {
            "; free some space and resume: nothing that was saved is lost"
        }
        ReadOnlyFilesystem => "; choose a writable directory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_by_the_edge() {
        let flag = |key: &str| match key {
            "seq_len" => Some("--seq-len".to_string()),
            "max_position_embeddings" => Some("--max-position-embeddings".to_string()),
            _ => None,
        };
        let remedy = "use at most 1024, or a larger `max_position_embeddings`; see `config.json`";
        let error = Error::config("seq_len", "4096 is too long", remedy);
        assert_eq!(
            error.message(flag),
            "--seq-len: 4096 is too long; use at most 1024, or a larger --max-position-embeddings; see `config.json`"
        );
        let error = Error::DataTooShort { what: "the data".into(), tokens: 3, needed: 9 };
        assert!(error.message(flag).ends_with("use more text or a smaller --seq-len"));
        let key = "seq_len".to_string();
        let error = Error::UnknownKey { file: "a file".into(), known: "`seq_len`".into(), key };
        assert_eq!(error.message(flag), error.to_string());
        assert_eq!(name_settings("an odd ` stays", flag), "an odd ` stays");
    }
}
