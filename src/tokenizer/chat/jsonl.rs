//! Conversations in JSON Lines files.

use super::{Message, Role};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// `{"messages": [...]}` of OpenAI and Hugging Face, or ShareGPT's `{"conversations": [...]}`.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "conversations")]
    messages: Vec<RawMessage>,
}

/// A message before its role is checked.
#[derive(Deserialize)]
struct RawMessage {
    #[serde(alias = "from")]
    role: String,
    #[serde(alias = "value")]
    content: String,
}

/// Returns true if the first line of a file is a conversation.
pub fn holds_conversations(text: &str) -> bool {
    let first = first_line(text);
    ["messages", "conversations"].iter().any(|key| first[*key].is_array())
}

/// Parses the first non-empty line of a file; null if it is not JSON.
pub(super) fn first_line(text: &str) -> Value {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    serde_json::from_str(first).unwrap_or_default()
}

/// Parses conversations, one per line: `{"messages": [{"role": "user", "content": "…"}, …]}`, or ShareGPT's format. `name`
/// names the file in errors.
///
/// # Errors
/// Returns an error with the line number for another format, for a role other than system, user (human) and assistant
/// (gpt) and for a conversation without an assistant message, and an error for an empty file.
pub fn parse_conversations(name: &str, text: &str) -> Result<Vec<Vec<Message>>> {
    let form = r#"each line must be {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}"#;
    parse_lines(name, text, form, parse_conversation)
}

/// Parses every non-empty line of a file. `form` is the remedy in the error for a malformed line.
pub(super) fn parse_lines<T>(
    name: &str,
    text: &str,
    form: &str,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<Vec<T>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| {
        let wrong =
            |problem| Error::malformed(name, format!("line {}: {problem}", index + 1), form);
        parse(line).map_err(wrong)
    });
    let parsed: Vec<T> = parsed.collect::<Result<_>>()?;
    if parsed.is_empty() {
        return Err(Error::EmptyData { what: name.into() });
    }
    Ok(parsed)
}

fn parse_conversation(line: &str) -> std::result::Result<Vec<Message>, String> {
    let Line { messages } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let messages = to_messages(messages)?;
    if messages.iter().any(|message| message.role == Role::Assistant) {
        Ok(messages)
    } else {
        Err("it has no assistant message".into())
    }
}

/// Parses a JSON list of messages.
pub(super) fn parse_messages(list: Value) -> std::result::Result<Vec<Message>, String> {
    to_messages(serde_json::from_value(list).map_err(|error| error.to_string())?)
}

fn to_messages(messages: Vec<RawMessage>) -> std::result::Result<Vec<Message>, String> {
    let message = |RawMessage { role, content }: RawMessage| {
        let role = match role.as_str() {
            "system" => Role::System,
            "user" | "human" => Role::User,
            "assistant" | "gpt" => Role::Assistant,
            other => return Err(format!("the role `{other}` is not system, user or assistant")),
        };
        Ok(Message { role, content })
    };
    messages.into_iter().map(message).collect()
}
