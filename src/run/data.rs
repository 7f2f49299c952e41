//! Training data: collects the contents of files and encodes them. An edge reads files or receives text;
//! [`super::source`] decides what they hold, once for all edges.
//!
//! ```
//! use blankslate::config::DataKind;
//! use blankslate::run::data::Examples;
//!
//! let chat = r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}"#;
//! let chat = Examples::of_text("the chat", chat)?;
//! assert_eq!(chat.kind("the chat")?, DataKind::Conversations);
//! let text = Examples::of_text("a text", "Hello!")?;
//! assert_eq!(text.kind("a text")?, DataKind::Text);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::json;

use super::source::{self, DataFormat};
use crate::config::DataKind;
use crate::data::{Corpus, Tokens};
use crate::error::{Error, Result};
use crate::tokenizer::{
    AllowedSpecial, Conversation, EncodedChat, PreferencePair, RunAll, Tokenizer, plain_text,
};

/// Maximum tokens from which the bytes per token are computed.
const MEASURED_TOKENS: usize = 1 << 20;

/// A text and the name of its source.
#[derive(Clone, Debug)]
pub struct Document {
    /// File name, or a description, for messages.
    pub name: String,
    /// The text.
    pub text: Cow<'static, str>,
    /// True if it is one of several records of a file, false if it is the file.
    pub is_record: bool,
}

/// The contents of some files.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Texts.
    pub documents: Vec<Document>,
    /// Conversations.
    pub conversations: Vec<Conversation>,
    /// Preference pairs.
    pub pairs: Vec<PreferencePair>,
    special_tokens: bool,
    forms: BTreeSet<&'static str>,
    unused: BTreeSet<String>,
}

impl Examples {
    /// Sets whether special tokens in texts are recognized instead of being encoded as ordinary text.
    pub fn with_special_tokens(mut self, recognized: bool) -> Self {
        self.special_tokens = recognized;
        self
    }

    /// Reads one text. Its name decides with its content what it holds, and names it in errors.
    ///
    /// # Errors
    /// As [`Self::add`]; the text is empty.
    pub fn of_text(name: &str, text: &str) -> Result<Self> {
        let mut examples = Self::default();
        examples.add(name, text.to_string(), DataFormat::Auto)?;
        examples.kind(name)?;
        Ok(examples)
    }

    /// Adds the content of a file.
    ///
    /// # Errors
    /// As [`source::read`].
    pub fn add(
        &mut self,
        name: &str,
        text: impl Into<Cow<'static, str>>,
        format: DataFormat,
    ) -> Result<()> {
        let contents = source::read(name, text.into(), format)?;
        let is_record = !contents.forms.is_empty();
        let documents = contents.texts.into_iter();
        self.documents.extend(documents.map(|text| Document {
            name: name.into(),
            text,
            is_record,
        }));
        self.conversations.extend(contents.conversations);
        self.pairs.extend(contents.pairs);
        self.forms.extend(contents.forms);
        self.unused.extend(contents.unused);
        Ok(())
    }

    /// Returns true if some of the data comes from JSON records.
    pub fn has_records(&self) -> bool {
        !self.forms.is_empty()
    }

    /// Describes what was found: how many examples of which form, and which keys of the records are not used.
    pub fn summary(&self) -> String {
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        let mut summary = match self.documents.as_slice() {
            _ if !self.pairs.is_empty() => counted(self.pairs.len(), "preference pair"),
            _ if !self.conversations.is_empty() => {
                counted(self.conversations.len(), "conversation")
            }
            [one] if !one.is_record => one.name.clone(),
            texts => counted(texts.len(), "text"),
        };
        if self.has_records() {
            let forms: Vec<&str> = self.forms.iter().copied().collect();
            summary += &format!(" (JSON: {}", forms.join(", "));
            if !self.unused.is_empty() {
                let unused: Vec<&str> = self.unused.iter().map(String::as_str).collect();
                summary += &format!("; not used: {}", unused.join(", "));
            }
            summary += ")";
        }
        summary
    }

    /// Returns all examples as one text that [`Self::of_text`] reads as the same ones: the text itself, or JSON Lines.
    pub fn to_text(&self) -> String {
        if !self.has_records() {
            let texts: Vec<&str> = self.documents.iter().map(|one| &*one.text).collect();
            return texts.join("\n");
        }
        let mut lines = String::new();
        let documents = self.documents.iter().map(|one| json!({ "text": one.text }));
        let conversations = self.conversations.iter().map(|one| {
            let mut messages = json!(one.messages);
            for index in &one.excluded {
                messages[*index]["weight"] = json!(0);
            }
            json!({ "messages": messages })
        });
        let pairs = self.pairs.iter().map(|PreferencePair { prompt, chosen, rejected }| {
            json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected })
        });
        for line in documents.chain(conversations).chain(pairs) {
            lines += &format!("{line}\n");
        }
        lines
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
        let documents = self.documents.iter().map(|document| match document.is_record {
            true => Cow::Owned(format!("{}\n", document.text)),
            false => Cow::Borrowed(&*document.text),
        });
        let parts = self.pairs.iter().flat_map(|pair| {
            let PreferencePair { prompt, chosen, rejected } = pair;
            [prompt, chosen, rejected]
        });
        let conversations = self.conversations.iter().map(|one| &one.messages);
        let messages = conversations.chain(parts);
        documents.chain(messages.map(|messages| Cow::Owned(plain_text(messages))))
    }

    /// Returns the size of the documents in bytes.
    pub fn text_bytes(&self) -> u64 {
        self.documents.iter().map(|document| document.text.len() as u64).sum()
    }

    /// Encodes the examples: documents as one segment, separated by end-of-text tokens if the tokenizer has one, else by
    /// line breaks between the records of a file; each conversation as a segment; preference pairs as far as they fit into
    /// windows of `seq_len`. `run_all` runs the jobs.
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
            let encode = |one: &Conversation| tokenizer.encode_conversation(one);
            let all = encode_all(&self.conversations, run_all, encode)?;
            return Ok(Corpus::conversations(all.into_iter().map(EncodedChat::into_parts)));
        }
        let allowed = if self.special_tokens { AllowedSpecial::All } else { AllowedSpecial::None };
        let encode = |document: &Document| tokenizer.encode_with_special(&document.text, &allowed);
        let documents = encode_all(&self.documents, run_all, encode)?;
        if documents.is_empty() {
            return Ok(Corpus::default());
        }
        let end_of_text = tokenizer.end_of_text();
        // A tokenizer without the character cannot separate them.
        let line_break = tokenizer.encode("\n").unwrap_or_default();
        let mut ids = Vec::with_capacity(documents.iter().map(|ids| ids.len() + 1).sum());
        for (index, document) in documents.into_iter().enumerate() {
            match end_of_text {
                _ if index == 0 => {}
                Some(id) => ids.push(id),
                None if self.documents[index].is_record => ids.extend(&line_break),
                None => {}
            }
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
    fn records_are_documents_of_their_own() {
        let lines = "{\"text\": \"one\"}\n\n{\"text\": \"two\", \"id\": 2}\n";
        let examples = Examples::of_text("a.jsonl", lines).unwrap();
        assert_eq!(examples.summary(), "2 texts (JSON: text fields; not used: id)");
        let encoded = |tokenizer: &Tokenizer| {
            let run_all = crate::tokenizer::run_sequentially;
            let corpus = examples.corpus(tokenizer, 8, run_all).unwrap();
            let ids: Vec<u32> = corpus.segments[0].read(0, corpus.len()).collect();
            ids
        };
        let bytes = Tokenizer::byte(&[]).unwrap();
        let with_end = Tokenizer::byte(&["<|endoftext|>".into()]).unwrap();
        assert_eq!(bytes.decode(&encoded(&bytes)).unwrap(), "one\ntwo");
        assert_eq!(encoded(&with_end)[3], with_end.end_of_text().unwrap());
        assert_eq!(encoded(&with_end).len(), 7);
    }

    #[test]
    fn what_was_read_is_written_as_text_that_reads_the_same() {
        let chat = r#"[{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "weight": 0}, {"from": "gpt", "value": "c"}]}]"#;
        let pair = r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;
        for content in
            [chat, pair, "{\"text\": \"one\\ntwo\"}\n{\"text\": \"{three}\"}", "she\nsells"]
        {
            let read = Examples::of_text("a", content).unwrap();
            let again = Examples::of_text("the text", &read.to_text()).unwrap();
            assert_eq!(read.conversations, again.conversations);
            assert_eq!(read.pairs, again.pairs);
            let texts = |examples: &Examples| -> Vec<String> {
                examples.documents.iter().map(|one| one.text.to_string()).collect()
            };
            assert_eq!(texts(&read), texts(&again));
        }
    }

    #[test]
    fn files_of_different_kinds_are_not_mixed() {
        let mut examples = Examples::of_text("a", "she sells").unwrap();
        let pair = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}";
        examples.add("b", pair, DataFormat::Auto).unwrap();
        let problem = examples.kind("a, b").unwrap_err().to_string();
        assert!(problem.contains("a, b holds preference pairs and other text"), "{problem}");
        assert!(Examples::of_text("c", "").unwrap_err().to_string().contains("c is empty"));
    }
}
