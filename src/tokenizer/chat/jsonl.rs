//! Conversations as files have them: one JSON object a line.

use super::{Message, Role};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// `{"messages": [...]}` as OpenAI and Hugging Face write it, or ShareGPT's `{"conversations": [...]}`.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "conversations")]
    messages: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    #[serde(alias = "from")]
    role: String,
    #[serde(alias = "value")]
    content: String,
}

/// Whether a file holds conversations, by its first line.
pub fn holds_conversations(text: &str) -> bool {
    let first = first_line(text);
    ["messages", "conversations"].iter().any(|key| first[*key].is_array())
}

/// The first line of a file that is not empty, or null if it is no JSON.
pub(super) fn first_line(text: &str) -> Value {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    serde_json::from_str(first).unwrap_or_default()
}

/// Reads conversations, one a line: `{"messages": [{"role": "user", "content": "…"}, …]}`, or the same in
/// ShareGPT's words. `name` names the file in errors.
///
/// # Errors
/// A line of another form; a role other than system, user (human) and assistant (gpt); a conversation in
/// which the assistant says nothing; no line at all.
pub fn parse_conversations(name: &str, text: &str) -> Result<Vec<Vec<Message>>> {
    let form = r#"each line must be {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}"#;
    parse_lines(name, text, form, parse_conversation)
}

/// Reads a file by lines, of which the empty ones do not count. `form` is the remedy for a line that cannot be read.
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
    match parsed.is_empty() {
        true => Err(Error::EmptyData { what: name.into() }),
        false => Ok(parsed),
    }
}

fn parse_conversation(line: &str) -> std::result::Result<Vec<Message>, String> {
    let Line { messages } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let messages = to_messages(messages)?;
    match messages.iter().any(|message| message.role == Role::Assistant) {
        true => Ok(messages),
        false => Err("the assistant says nothing in it".into()),
    }
}

/// Messages from a JSON list of them.
pub(super) fn parse_turns(list: Value) -> std::result::Result<Vec<Message>, String> {
    to_messages(serde_json::from_value(list).map_err(|error| error.to_string())?)
}

fn to_messages(turns: Vec<Turn>) -> std::result::Result<Vec<Message>, String> {
    let message = |Turn { role, content }: Turn| {
        let role = match role.as_str() {
            "system" => Role::System,
            "user" | "human" => Role::User,
            "assistant" | "gpt" => Role::Assistant,
            other => return Err(format!("the role `{other}` is not system, user or assistant")),
        };
        Ok(Message { role, content })
    };
    turns.into_iter().map(message).collect()
}
