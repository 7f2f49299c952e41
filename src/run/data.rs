//! Training data: detects the kind of a text and encodes it. An edge reads files or receives text; everything else is decided
//! here, once for all edges.
//!
//! ```
//! use blankslate::config::DataKind;
//! use blankslate::run::data::Examples;
//!
//! let chat = r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}"#;
//! assert_eq!(Examples::of_text("the chat", chat)?.kind("the chat")?, DataKind::Conversations);
//! assert_eq!(Examples::of_text("a text", "Hello!")?.kind("a text")?, DataKind::Text);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

use std::borrow::Cow;
use std::sync::OnceLock;

use serde_json::Value;

use crate::config::DataKind;
use crate::data::{Corpus, Tokens};
use crate::error::{Error, Result};
use crate::tokenizer::{
    EncodedChat, Message, PreferencePair, RunAll, Tokenizer, holds_conversations,
    holds_preferences, parse_conversations, parse_preferences, plain_text,
};

/// Maximum tokens from which the bytes per token are computed.
const MEASURED_TOKENS: usize = 1 << 20;

/// Returns the kind of data in a text. Its first line that is not blank decides.
pub fn kind_of(text: &str) -> DataKind {
    if holds_conversations(text) {
        DataKind::Conversations
    } else if holds_preferences(text) {
        DataKind::Preferences
    } else {
        DataKind::Text
    }
}

/// Returns the text of a file. In a `.jsonl` file with neither conversations nor preference pairs, it is the field `text` of each
/// line; a line without that field stays as it is.
///
/// # Errors
/// A line of such a file is not JSON.
pub fn text_of_file<'a>(name: &str, content: &'a str) -> Result<Cow<'a, str>> {
    let has_lines = name.to_lowercase().ends_with(".jsonl");
    if !has_lines || kind_of(content) != DataKind::Text {
        return Ok(Cow::Borrowed(content));
    }
    let mut texts: Vec<Cow<str>> = Vec::new();
    for (index, line) in content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|_| {
            let problem = format!("line {} is not JSON", index + 1);
            Error::malformed(name, problem, "give one JSON object per line, or name it .txt")
        })?;
        texts.push(match value.get("text") {
            Some(Value::String(text)) => Cow::Owned(text.clone()),
            _ => Cow::Borrowed(line),
        });
    }
    Ok(Cow::Owned(texts.join("\n")))
}

/// A text and the name of its source.
#[derive(Clone, Debug)]
pub struct Document {
    /// File name, or a description, for messages.
    pub name: String,
    /// The text.
    pub text: Cow<'static, str>,
}

/// The contents of some files.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Texts.
    pub documents: Vec<Document>,
    /// Conversations.
    pub conversations: Vec<Vec<Message>>,
    /// Preference pairs.
    pub pairs: Vec<PreferencePair>,
}

impl Examples {
    /// Returns the content of one text.
    ///
    /// # Errors
    /// As [`Self::add`]; the text is empty.
    pub fn of_text(name: &str, text: &str) -> Result<Self> {
        let mut examples = Self::default();
        examples.add(name, text.to_string())?;
        examples.kind(name)?;
        Ok(examples)
    }

    /// Adds the content of a file.
    ///
    /// # Errors
    /// A line of conversations or preference pairs is malformed.
    pub fn add(&mut self, name: &str, text: impl Into<Cow<'static, str>>) -> Result<()> {
        let text = text.into();
        match kind_of(&text) {
            DataKind::Conversations => {
                self.conversations.extend(parse_conversations(name, &text)?);
            }
            DataKind::Preferences => self.pairs.extend(parse_preferences(name, &text)?),
            DataKind::Text if text.is_empty() => {}
            DataKind::Text => self.documents.push(Document { name: name.into(), text }),
        }
        Ok(())
    }

    /// Returns the kind of all examples. `what` names them in errors.
    ///
    /// # Errors
    /// There is no data, or more than one kind.
    pub fn kind(&self, what: &str) -> Result<DataKind> {
        let kinds = [
            (DataKind::Conversations, "conversations", !self.conversations.is_empty()),
            (DataKind::Preferences, "preference pairs", !self.pairs.is_empty()),
            (DataKind::Text, "other text", !self.documents.is_empty()),
        ];
        let found: Vec<_> = kinds.into_iter().filter(|(_, _, is_there)| *is_there).collect();
        match found.as_slice() {
            [] => Err(Error::EmptyData { what: what.into() }),
            [(kind, _, _)] => Ok(*kind),
            several => {
                let names: Vec<&str> = several.iter().map(|(_, name, _)| *name).collect();
                let problem = format!("{what} holds {}", names.join(" and "));
                Err(Error::config("data", problem, "give only one kind"))
            }
        }
    }

    /// Returns all texts, to train a tokenizer on.
    pub fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let documents = self.documents.iter().map(|document| Cow::Borrowed(&*document.text));
        let parts = self.pairs.iter().flat_map(|pair| {
            let PreferencePair { prompt, chosen, rejected } = pair;
            [prompt, chosen, rejected]
        });
        let messages = self.conversations.iter().chain(parts);
        documents.chain(messages.map(|messages| Cow::Owned(plain_text(messages))))
    }

    /// Returns the size of the documents in bytes.
    pub fn text_bytes(&self) -> u64 {
        self.documents.iter().map(|document| document.text.len() as u64).sum()
    }

    /// Encodes the examples: documents as one segment, separated by end-of-text tokens if the tokenizer has one; each
    /// conversation as a segment; preference pairs as far as they fit into windows of `seq_len`. `run_all` runs the jobs.
    ///
    /// # Errors
    /// The tokenizer cannot encode a text or has no tokens for chat messages; no pair fits into a window.
    pub fn corpus(&self, tokenizer: &Tokenizer, seq_len: usize, run_all: RunAll) -> Result<Corpus> {
        if !self.pairs.is_empty() {
            let pairs = encode_all(&self.pairs, run_all, |pair| tokenizer.encode_pair(pair))?;
            let pairs = pairs.into_iter().map(|pair| pair.map(EncodedChat::into_parts));
            return Corpus::pairs(pairs, seq_len);
        }
        if !self.conversations.is_empty() {
            let encode = |messages: &Vec<Message>| tokenizer.encode_messages(messages);
            let all = encode_all(&self.conversations, run_all, encode)?;
            return Ok(Corpus::conversations(all.into_iter().map(EncodedChat::into_parts)));
        }
        let encode = |document: &Document| tokenizer.encode(&document.text);
        let documents = encode_all(&self.documents, run_all, encode)?;
        if documents.is_empty() {
            return Ok(Corpus::default());
        }
        let between = tokenizer.end_of_text();
        let mut ids = Vec::with_capacity(documents.iter().map(|ids| ids.len() + 1).sum());
        for (index, document) in documents.into_iter().enumerate() {
            ids.extend(between.filter(|_| index > 0));
            ids.extend(document);
        }
        Ok(Corpus::new(Tokens::from_ids(ids)))
    }
}

/// Encodes items on the threads of an edge. The results are in the order of the items.
fn encode_all<T: Sync, O: Send + Sync>(
    items: &[T],
    run_all: RunAll,
    encode: impl Fn(&T) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let encoded: Vec<OnceLock<Result<O>>> = items.iter().map(|_| OnceLock::new()).collect();
    run_all(items.len(), &|index| {
        encoded[index].get_or_init(|| encode(&items[index]));
    });
    encoded.into_iter().map(|slot| slot.into_inner().expect("every job was run")).collect()
}

/// Returns the bytes of text per token, measured on the first million tokens.
pub fn bytes_per_token(corpus: &Corpus, tokenizer: &Tokenizer) -> f64 {
    let first = corpus.segments.iter().flat_map(|one| one.read(0, one.len().min(MEASURED_TOKENS)));
    let mut tokens: u32 = 0;
    let mut bytes = 0;
    for id in first.take(MEASURED_TOKENS) {
        tokens += 1;
        bytes += tokenizer.text_bytes(id);
    }
    bytes as f64 / f64::from(tokens.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_decides_the_kind_of_a_text() {
        assert_eq!(kind_of("she sells\n{\"messages\": []}"), DataKind::Text);
        assert_eq!(kind_of("\n{\"messages\": []}"), DataKind::Conversations);
        assert_eq!(kind_of("{\"prompt\": \"a\", \"chosen\": \"b\"}"), DataKind::Preferences);
        assert_eq!(kind_of("{\"messages\""), DataKind::Text);
        assert_eq!(kind_of(""), DataKind::Text);
    }

    #[test]
    fn lines_of_jsonl_files_are_their_text_fields() {
        let lines = "{\"text\": \"one\\ntwo\"}\n\n{\"other\": 3}\n";
        assert_eq!(text_of_file("a.JSONL", lines).unwrap(), "one\ntwo\n{\"other\": 3}");
        assert_eq!(text_of_file("a.txt", lines).unwrap(), lines);
        assert!(text_of_file("a.jsonl", "{}\nno").unwrap_err().to_string().contains("line 2"));
        let chat = "{\"messages\": []}\n";
        assert_eq!(text_of_file("a.jsonl", chat).unwrap(), chat);
    }

    #[test]
    fn files_of_different_kinds_are_not_mixed() {
        let mut examples = Examples::of_text("a", "she sells").unwrap();
        examples.add("b", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}").unwrap();
        let problem = examples.kind("a, b").unwrap_err().to_string();
        assert!(problem.contains("a, b holds preference pairs and other text"), "{problem}");
        assert!(Examples::of_text("c", "").unwrap_err().to_string().contains("c is empty"));
    }
}
