//! Messages of errors in the terms of an edge: the terminal's flags or the page's labels.

use super::{Error, about, printable};

/// Maximum characters of a message.
const MESSAGE: usize = 2000;

impl Error {
    /// Returns the message with settings renamed by `name`, which returns an edge's name for a key. It is one line that is safe
    /// to show: see [`printable`].
    ///
    /// Keys of files are not renamed, since people see them in the files.
    pub fn message(&self, name: impl Fn(&str) -> Option<String>) -> String {
        let text = self.message_with(&name);
        let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).collect();
        printable(&lines.join(" "), MESSAGE)
    }

    fn message_with(&self, name: &dyn Fn(&str) -> Option<String>) -> String {
        match self {
            Self::Damaged { source, remedy } => {
                format!("{}; {}", source.message_with(name), name_settings(remedy, name))
            }
            Self::Config { key, problem, remedy } => {
                let key = name(key).unwrap_or_else(|| key.clone());
                name_settings(&format!("{}; {remedy}", about(&key, problem)), name)
            }
            Self::UnknownKey { .. } | Self::MissingTensor { .. } | Self::Shape { .. } => {
                self.to_string()
            }
            other => name_settings(&other.to_string(), name),
        }
    }
}

/// Replaces every word in backticks for which `name` returns a name.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_safe_line() {
        let what = format!("a\u{1b}]0;title\u{7}\r\nb{}", "x".repeat(100_000));
        let message =
            Error::malformed(what, "it is damaged", "download it again").message(|_| None);
        assert!(message.chars().count() < MESSAGE + 50 && message.ends_with("download it again"));
        assert!(!message.chars().any(char::is_control), "{message}");
        assert!(message.starts_with(r"a\u{1b}]0;title\u{7}"), "{message}");
    }

    #[test]
    fn an_edge_renames_settings() {
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
        let error = Error::config("seq_len", "must be at least 1, not 0", "use 64");
        assert_eq!(error.message(flag), "--seq-len must be at least 1, not 0; use 64");
    }
}
