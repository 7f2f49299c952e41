//! Chat messages of JSON records.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keys::{is_description, is_empty};
use crate::tokenizer::{Conversation, Message, Role};

type Parsed<T> = std::result::Result<T, String>;
type Fields = Map<String, Value>;

/// A conversation with at least one answer of the assistant to learn.
pub(super) fn conversation(list: Value, unused: &mut BTreeSet<String>) -> Parsed<Conversation> {
    let mut conversation = Conversation::default();
    for (message, is_learned) in weighted_messages(list, unused)? {
        if !is_learned {
            conversation.excluded.push(conversation.messages.len());
        }
        conversation.messages.push(message);
    }
    with_answer(conversation)
}

/// A list of messages, all of which count.
pub(super) fn messages(list: Value, unused: &mut BTreeSet<String>) -> Parsed<Vec<Message>> {
    let mut messages = Vec::new();
    for (message, is_learned) in weighted_messages(list, unused)? {
        if !is_learned {
            return Err("the `weight` of a message in a preference pair is not supported".into());
        }
        messages.push(message);
    }
    Ok(messages)
}

/// A question and its answer as a conversation.
pub(super) fn answered(question: String, answer: String) -> Parsed<Conversation> {
    let messages = vec![
        Message { role: Role::User, content: question },
        Message { role: Role::Assistant, content: answer },
    ];
    with_answer(Conversation { messages, excluded: Vec::new() })
}

fn with_answer(conversation: Conversation) -> Parsed<Conversation> {
    let mut has_answer = false;
    for (index, message) in conversation.messages.iter().enumerate() {
        let is_excluded = conversation.excluded.binary_search(&index).is_ok();
        if message.role != Role::Assistant || is_excluded {
            continue;
        }
        if message.content.trim().is_empty() {
            return Err("an assistant message is empty: there is nothing to learn from it".into());
        }
        has_answer = true;
    }
    if has_answer { Ok(conversation) } else { Err("it has no assistant message to learn".into()) }
}

/// Messages of a list; false stands beside those whose `weight` is 0, which are not learned.
fn weighted_messages(list: Value, unused: &mut BTreeSet<String>) -> Parsed<Vec<(Message, bool)>> {
    let Value::Array(list) = list else {
        return Err(format!("{list} is not a list of messages"));
    };
    list.into_iter().map(|message| weighted_message(message, unused)).collect()
}

fn weighted_message(message: Value, unused: &mut BTreeSet<String>) -> Parsed<(Message, bool)> {
    let Value::Object(mut fields) = message else {
        return Err(format!("{message} is not a message with a `role` and a `content`"));
    };
    let role = ["role", "from"].iter().find_map(|key| fields.remove(*key));
    let content = ["content", "value"].iter().find_map(|key| fields.remove(*key));
    let is_learned = match fields.remove("weight") {
        None | Some(Value::Null) => true,
        Some(weight) if weight.as_f64() == Some(1.0) => true,
        Some(weight) if weight.as_f64() == Some(0.0) => false,
        Some(weight) => {
            return Err(format!("the `weight` {weight} of a message is neither 0 nor 1"));
        }
    };
    for (key, value) in fields {
        if is_empty(&value) {
            continue;
        }
        if !is_description(&key) {
            return Err(format!("the key `{key}` of a message is not supported"));
        }
        unused.insert(key);
    }
    let Some(Value::String(role)) = role else {
        return Err("a message has no `role`".into());
    };
    let role = match role.as_str() {
        "system" | "developer" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        other => return Err(format!("the role `{other}` is not system, user or assistant")),
    };
    let content = text_of(content.unwrap_or_default())?;
    Ok((Message { role, content }, is_learned))
}

/// Text of a message: a string, or a list of parts that are all text.
fn text_of(content: Value) -> Parsed<String> {
    match content {
        Value::String(text) => Ok(text),
        Value::Array(parts) => parts
            .into_iter()
            .map(|part| match (part["type"].as_str(), part["text"].as_str()) {
                (Some("text"), Some(text)) => Ok(text.to_string()),
                _ => Err(format!("the part {part} of a message is not text")),
            })
            .collect(),
        Value::Null => Err("a message has no `content`".into()),
        other => Err(format!("the content {other} of a message is not text")),
    }
}

/// Removes a field that must be a string.
pub(super) fn take_string(fields: &mut Fields, key: &str) -> Parsed<String> {
    match fields.remove(key) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("`{key}` is {other}, not a string")),
        None => Err(format!("it has no `{key}`")),
    }
}

/// Removes `instruction` and its optional `input`, which follows it after an empty line.
pub(super) fn take_instruction(fields: &mut Fields) -> Parsed<String> {
    let instruction = take_string(fields, "instruction")?;
    if !fields.contains_key("input") {
        return Ok(instruction);
    }
    let input = take_string(fields, "input")?;
    Ok(if input.is_empty() { instruction } else { format!("{instruction}\n\n{input}") })
}

/// Removes a system message that stands beside the others.
pub(super) fn take_system(fields: &mut Fields) -> Parsed<Option<String>> {
    for key in ["system", "system_prompt"] {
        if fields.contains_key(key) {
            return take_string(fields, key).map(|text| Some(text).filter(|text| !text.is_empty()));
        }
    }
    Ok(None)
}

/// Puts a system message in front.
pub(super) fn begin_with(conversation: &mut Conversation, system: Option<String>) -> Parsed<()> {
    let Some(content) = system else { return Ok(()) };
    if conversation.messages.first().is_some_and(|first| first.role == Role::System) {
        return Err("it has two system messages, one of them beside the list".into());
    }
    conversation.messages.insert(0, Message { role: Role::System, content });
    for index in &mut conversation.excluded {
        *index += 1;
    }
    Ok(())
}
