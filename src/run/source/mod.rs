//! Detection of the content of a data file, the same for the terminal and the page.
//!
//! A file is plain text, or JSON records of a known form: one object a line, or one list. JSON of an unknown form is refused
//! and never trained on as letters, unless [`DataFormat::Text`] asks for that.

mod keys;
mod messages;
mod preferences;
mod records;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::DataKind;
use crate::error::{Error, Result};
use crate::tokenizer::{Conversation, PreferencePair};
use keys::only_described_by;
use messages::conversation;
use preferences::pair;
use records::{Place, first_record, is_json, records};

/// Remedy in the errors of JSON records.
const FORMS: &str = r#"records may be {"text": …}, {"messages": […]}, ShareGPT's {"conversations": […]}, {"instruction": …, "output": …} or {"prompt": …, "chosen": …, "rejected": …}; to train on the characters of the file, set `data_format` to text"#;

/// Mark that some editors put before a text. Joining files can leave several.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Interpretation of the content of a data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// Detected by name and content.
    #[default]
    Auto,
    /// Plain text, whatever it looks like.
    Text,
    /// As `Auto`; records `{"prompt": …, "completion": …}` are a user message and the assistant's answer.
    PromptCompletion,
}

impl DataFormat {
    /// Names and formats, for options.
    pub const NAMES: [(&str, Self); 3] =
        [("auto", Self::Auto), ("text", Self::Text), ("prompt-completion", Self::PromptCompletion)];
}

/// The contents of one file.
#[derive(Debug, Default)]
pub struct Contents {
    /// Texts, each a document of its own.
    pub texts: Vec<Cow<'static, str>>,
    /// Conversations.
    pub conversations: Vec<Conversation>,
    /// Preference pairs.
    pub pairs: Vec<PreferencePair>,
    /// Forms of the records; empty for plain text.
    pub forms: BTreeSet<&'static str>,
    /// Keys of records that describe the record, such as `id`, and are not used.
    pub unused: BTreeSet<String>,
}

/// One record, in a form that can be learned.
enum Example {
    Text(String),
    Conversation(Conversation),
    Pair(PreferencePair),
}

/// Example read from a record, and the form by which the record was recognized.
struct Reading {
    example: Example,
    form: &'static str,
}

/// Decides what a file holds and reads it. `name` is the file's name or path; it decides with the content, and names the file
/// in errors. Byte order marks at the start are removed.
///
/// # Errors
/// JSON that is malformed or of no known form, with the line; records of several kinds; keys that would change what is
/// learned and are not supported.
pub fn read(name: &str, content: Cow<'static, str>, format: DataFormat) -> Result<Contents> {
    let content = without_byte_order_mark(content);
    if format == DataFormat::Text || !is_json(name, &content) {
        let texts = if content.is_empty() { Vec::new() } else { vec![content] };
        return Ok(Contents { texts, ..Contents::default() });
    }
    let refused = |place: Place, problem: String| {
        Error::malformed(name, format!("{place}: {problem}"), FORMS)
    };
    let mut contents = Contents::default();
    for (place, record) in records(&content).map_err(|(place, problem)| refused(place, problem))? {
        let read = interpret(record, format, &mut contents.unused);
        let Reading { example, form } = read.map_err(|problem| refused(place, problem))?;
        contents.forms.insert(form);
        match example {
            Example::Text(text) => contents.texts.push(Cow::Owned(text)),
            Example::Conversation(conversation) => contents.conversations.push(conversation),
            Example::Pair(pair) => contents.pairs.push(pair),
        }
        let kinds = [
            contents.texts.is_empty(),
            contents.conversations.is_empty(),
            contents.pairs.is_empty(),
        ];
        if kinds.iter().filter(|is_empty| !**is_empty).count() > 1 {
            let problem = "this record is of another kind than those before it".to_string();
            return Err(refused(place, problem));
        }
    }
    if contents.forms.is_empty() {
        return Err(Error::EmptyData { what: name.into() });
    }
    Ok(contents)
}

/// Decides the kind of a text by its beginning, which may be all of it. `name` names it in errors.
///
/// # Errors
/// The text is JSON, and its first record is malformed or of no known form.
pub fn kind_of(name: &str, beginning: &str) -> Result<DataKind> {
    let beginning = beginning.trim_start_matches(BYTE_ORDER_MARK);
    if !is_json(name, beginning) {
        return Ok(DataKind::Text);
    }
    let refused = |problem| Error::malformed(name, format!("line 1: {problem}"), FORMS);
    let record = first_record(beginning).map_err(refused)?;
    let reading = interpret(record, DataFormat::Auto, &mut BTreeSet::new()).map_err(refused)?;
    Ok(match reading.example {
        Example::Text(_) => DataKind::Text,
        Example::Conversation(_) => DataKind::Conversations,
        Example::Pair(_) => DataKind::Preferences,
    })
}

fn without_byte_order_mark(content: Cow<'static, str>) -> Cow<'static, str> {
    match content {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(BYTE_ORDER_MARK)),
        Cow::Owned(mut text) => {
            let marks = text.len() - text.trim_start_matches(BYTE_ORDER_MARK).len();
            text.drain(..marks);
            Cow::Owned(text)
        }
    }
}

/// The known forms of records that are objects.
enum Form {
    /// Preference pairs.
    Pair,
    /// A conversation under this key.
    Messages(&'static str),
    /// Alpaca's `instruction`, `input` and `output`.
    Instruction,
    /// A `prompt` and a `completion`.
    Completion,
    /// A `text`.
    Text,
}

impl Form {
    /// The form that a record has by its keys.
    fn of(fields: &Map<String, Value>) -> Option<Self> {
        let has = |key: &str| fields.contains_key(key);
        let completions = ["chosen", "rejected", "preferred_output", "non_preferred_output"];
        // One completion is enough, so that reading reports that the other is missing.
        if completions.into_iter().any(has) {
            return Some(Self::Pair);
        }
        let lists = ["messages", "conversations", "conversation"];
        if let Some(key) = lists.into_iter().find(|key| has(key)) {
            return Some(Self::Messages(key));
        }
        if has("instruction") && has("output") {
            return Some(Self::Instruction);
        }
        if has("prompt") && has("completion") {
            return Some(Self::Completion);
        }
        has("text").then_some(Self::Text)
    }

    /// Returns the name of the form in descriptions of data.
    fn name(&self) -> &'static str {
        match self {
            Self::Pair => "preference pairs",
            Self::Messages("messages") => "messages",
            Self::Messages(_) => "ShareGPT",
            Self::Instruction => "Alpaca's instructions",
            Self::Completion => "prompts with completions",
            Self::Text => "text fields",
        }
    }
}

/// Reads one record by the keys it has. Keys that only describe it are added to `unused`.
fn interpret(
    record: Value,
    format: DataFormat,
    unused: &mut BTreeSet<String>,
) -> std::result::Result<Reading, String> {
    let mut fields = match record {
        Value::Object(fields) => fields,
        Value::Array(list) => {
            let example = Example::Conversation(conversation(Value::Array(list), unused)?);
            return Ok(Reading { example, form: "lists of messages" });
        }
        other => return Err(format!("{other} is neither an object nor a list of messages")),
    };
    fields.retain(|_, value| !value.is_null());
    let Some(form) = Form::of(&fields) else {
        let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        return Err(format!("none of the known forms has the keys {}", keys.join(", ")));
    };
    let example = match form {
        Form::Pair => Example::Pair(pair(&mut fields, unused)?),
        Form::Messages(key) => {
            let system = messages::take_system(&mut fields)?;
            let list = fields.remove(key).unwrap_or_default();
            let mut conversation = conversation(list, unused)?;
            messages::begin_with(&mut conversation, system)?;
            Example::Conversation(conversation)
        }
        Form::Instruction => {
            // Alpaca's own files repeat everything, rendered, as `text`.
            if fields.remove("text").is_some() {
                unused.insert("text".into());
            }
            let system = messages::take_system(&mut fields)?;
            let question = messages::take_instruction(&mut fields)?;
            let answer = messages::take_string(&mut fields, "output")?;
            let mut conversation = messages::answered(question, answer)?;
            messages::begin_with(&mut conversation, system)?;
            Example::Conversation(conversation)
        }
        Form::Completion => {
            if fields.contains_key("label") {
                let problem = "labels of single completions (KTO) are not supported";
                return Err(format!("{problem}; pair a chosen with a rejected completion"));
            }
            if format != DataFormat::PromptCompletion {
                return Err("a prompt with a completion can be a question with its answer, or one text: set \
                            `data_format` to prompt-completion for the former, or join the two as {\"text\": …}"
                    .into());
            }
            let question = messages::take_string(&mut fields, "prompt")?;
            let answer = messages::take_string(&mut fields, "completion")?;
            Example::Conversation(messages::answered(question, answer)?)
        }
        Form::Text => {
            let text = messages::take_string(&mut fields, "text")?;
            // Whatever else a document has describes it.
            unused.extend(std::mem::take(&mut fields).into_iter().map(|(key, _)| key));
            Example::Text(text)
        }
    };
    only_described_by(fields, unused)?;
    Ok(Reading { example, form: form.name() })
}

#[cfg(test)]
mod tests;
