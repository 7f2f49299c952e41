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
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match serde_json::from_str::<Value>(first) {
        Ok(first) => ["messages", "conversations"].iter().any(|key| first[*key].is_array()),
        Err(_) => false,
    }
}

/// Reads conversations, one a line: `{"messages": [{"role": "user", "content": "…"}, …]}`, or the same in
/// ShareGPT's words. `name` names the file in errors.
///
/// # Errors
/// A line of another form; a role other than system, user (human) and assistant (gpt); a conversation in
/// which the assistant says nothing; no line at all.
pub fn parse_conversations(name: &str, text: &str) -> Result<Vec<Vec<Message>>> {
    let mut conversations = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let messages = parse_line(line).map_err(|problem| {
            Error::malformed(
                name,
                format!("line {}: {problem}", index + 1),
                r#"each line must be {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}"#,
            )
        })?;
        conversations.push(messages);
    }
    match conversations.is_empty() {
        true => Err(Error::EmptyData { what: name.into() }),
        false => Ok(conversations),
    }
}

fn parse_line(line: &str) -> std::result::Result<Vec<Message>, String> {
    let Line { messages } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let message = |Turn { role, content }: Turn| {
        let role = match role.as_str() {
            "system" => Role::System,
            "user" | "human" => Role::User,
            "assistant" | "gpt" => Role::Assistant,
            other => return Err(format!("the role `{other}` is not system, user or assistant")),
        };
        Ok(Message { role, content })
    };
    let messages: Vec<Message> =
        messages.into_iter().map(message).collect::<std::result::Result<_, _>>()?;
    match messages.iter().any(|message| message.role == Role::Assistant) {
        true => Ok(messages),
        false => Err("the assistant says nothing in it".into()),
    }
}
