//! Preference pairs of JSON records.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::messages::{messages, take_instruction, take_system};
use crate::tokenizer::{Message, PreferencePair, Role};

/// Removes the fields of a preference pair and reads them: TRL's `prompt`, `chosen` and `rejected`, the same with
/// `instruction` and `input`, or OpenAI's `input`, `preferred_output` and `non_preferred_output`. Completions are strings or
/// lists of messages. Without a prompt, it is the common start of the two lists.
pub(super) fn pair(
    fields: &mut Map<String, Value>,
    unused: &mut BTreeSet<String>,
) -> Result<PreferencePair, String> {
    let is_openai =
        fields.contains_key("preferred_output") || fields.contains_key("non_preferred_output");
    let keys = if is_openai {
        ["preferred_output", "non_preferred_output"]
    } else {
        ["chosen", "rejected"]
    };
    let mut completion = |key: &str| fields.remove(key).ok_or(format!("it has no `{key}`"));
    let chosen = completion(keys[0])?;
    let rejected = completion(keys[1])?;
    let prompt = take_prompt(fields, is_openai, unused)?;
    let system = take_system(fields)?;

    let mut pair = match (chosen, rejected) {
        (Value::String(chosen), Value::String(rejected)) => {
            let said = |content| vec![Message { role: Role::Assistant, content }];
            PreferencePair { prompt, chosen: said(chosen), rejected: said(rejected) }
        }
        (chosen @ Value::Array(_), rejected @ Value::Array(_)) => {
            let mut chosen = messages(chosen, unused)?;
            let mut rejected = messages(rejected, unused)?;
            let common = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
            // Some files repeat the prompt at the start of both lists.
            if common > 0 && !(prompt.is_empty() || chosen[..common].ends_with(&prompt)) {
                return Err("both completions begin with messages that are not its prompt".into());
            }
            rejected.drain(..common);
            let shared: Vec<Message> = chosen.drain(..common).collect();
            let prompt = if common > 0 { shared } else { prompt };
            PreferencePair { prompt, chosen, rejected }
        }
        _ => {
            return Err(
                "its completions are neither both strings nor both lists of messages".into()
            );
        }
    };
    if let Some(content) = system {
        if pair.prompt.first().is_some_and(|first| first.role == Role::System) {
            return Err("it has two system messages, one of them beside the list".into());
        }
        pair.prompt.insert(0, Message { role: Role::System, content });
    }
    if pair.prompt.is_empty() {
        return Err("it has no prompt".into());
    }
    if pair.chosen == pair.rejected {
        return Err("the chosen and the rejected completion are equal".into());
    }
    for (key, completion) in keys.iter().zip([&pair.chosen, &pair.rejected]) {
        if completion.iter().all(|message| message.role != Role::Assistant) {
            return Err(format!("`{key}` has no assistant message"));
        }
    }
    Ok(pair)
}

/// The messages before the completions; none if the record names no prompt.
fn take_prompt(
    fields: &mut Map<String, Value>,
    is_openai: bool,
    unused: &mut BTreeSet<String>,
) -> Result<Vec<Message>, String> {
    let asked = |content| vec![Message { role: Role::User, content }];
    if is_openai {
        return match fields.remove("input") {
            Some(Value::Object(mut input))
                if input.len() == 1 && input.contains_key("messages") =>
            {
                messages(input.remove("messages").unwrap_or_default(), unused)
            }
            Some(input) => Err(format!("its input {input} is not {{\"messages\": […]}}")),
            None => Err("it has no `input`".into()),
        };
    }
    if fields.contains_key("instruction") && !fields.contains_key("prompt") {
        // The answer that the two completions were made from.
        if fields.remove("output").is_some() {
            unused.insert("output".into());
        }
        return take_instruction(fields).map(asked);
    }
    match fields.remove("prompt") {
        None => Ok(Vec::new()),
        Some(Value::String(prompt)) => Ok(asked(prompt)),
        Some(list) => messages(list, unused),
    }
}
