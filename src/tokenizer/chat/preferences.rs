//! Preference pairs: a prompt with a chosen and a rejected completion.

use serde::Deserialize;
use serde_json::Value;

use super::jsonl::{first_line, parse_lines, parse_messages};
use super::{EncodedChat, Message, Role};
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// A prompt with a chosen and a rejected completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferencePair {
    /// Messages before the completions.
    pub prompt: Vec<Message>,
    /// The preferred completion.
    pub chosen: Vec<Message>,
    /// The other completion.
    pub rejected: Vec<Message>,
}

/// A line in the format of TRL's `DPOTrainer`.
#[derive(Deserialize)]
struct Line {
    prompt: Option<Value>,
    chosen: Value,
    rejected: Value,
}

/// Returns true if the first line of a file has a `chosen` or a `rejected` completion. One of them is enough, so that
/// parsing reports the missing one.
pub fn holds_preferences(text: &str) -> bool {
    let first = first_line(text);
    ["chosen", "rejected"].iter().any(|key| !first[*key].is_null())
}

/// Parses preference pairs, one per line: `{"prompt": …, "chosen": …, "rejected": …}`. The values are all strings (a user
/// message and two assistant messages) or all lists of messages. Without `prompt`, the prompt is the common prefix of the
/// two lists. `name` names the file in errors.
///
/// # Errors
/// Returns an error with the line number for another format, for a pair without a prompt or with equal completions, and for
/// a completion without an assistant message, and an error for an empty file.
pub fn parse_preferences(name: &str, text: &str) -> Result<Vec<PreferencePair>> {
    let form = r#"each line must be {"prompt": "…", "chosen": "…", "rejected": "…"}, or the same with lists of messages"#;
    parse_lines(name, text, form, parse_pair)
}

fn parse_pair(line: &str) -> std::result::Result<PreferencePair, String> {
    let Line { prompt, chosen, rejected } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let said = |role, content| vec![Message { role, content }];
    let pair = match (prompt, chosen, rejected) {
        (Some(Value::String(prompt)), Value::String(chosen), Value::String(rejected)) => {
            let [chosen, rejected] = [chosen, rejected].map(|text| said(Role::Assistant, text));
            PreferencePair { prompt: said(Role::User, prompt), chosen, rejected }
        }
        (Some(prompt @ Value::Array(_)), chosen @ Value::Array(_), rejected @ Value::Array(_)) => {
            PreferencePair {
                prompt: parse_messages(prompt)?,
                chosen: parse_messages(chosen)?,
                rejected: parse_messages(rejected)?,
            }
        }
        (None, chosen @ Value::Array(_), rejected @ Value::Array(_)) => {
            let mut chosen = parse_messages(chosen)?;
            let mut rejected = parse_messages(rejected)?;
            let common = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
            rejected.drain(..common);
            PreferencePair { prompt: chosen.drain(..common).collect(), chosen, rejected }
        }
        (None, Value::String(_), Value::String(_)) => return Err("it has no prompt".into()),
        _ => return Err("its parts are neither all strings nor all lists of messages".into()),
    };
    let answers = [("chosen", &pair.chosen), ("rejected", &pair.rejected)];
    let silent = |answer: &[Message]| answer.iter().all(|one| one.role != Role::Assistant);
    if pair.prompt.is_empty() {
        return Err("it has no prompt".into());
    }
    if pair.chosen == pair.rejected {
        return Err("the chosen and the rejected completion are equal".into());
    }
    match answers.iter().find(|(_, answer)| silent(answer)) {
        Some((name, _)) => Err(format!("`{name}` has no assistant message")),
        None => Ok(pair),
    }
}

impl Tokenizer {
    /// Encodes the two conversations of a pair, the chosen one first. The loss masks cover only the completions.
    ///
    /// # Errors
    /// Returns the errors of [`Self::encode_messages`].
    pub fn encode_pair(&self, pair: &PreferencePair) -> Result<[EncodedChat; 2]> {
        let mut prompt = self.encode_messages(&pair.prompt)?;
        prompt.loss_mask.fill(false);
        let with = |answer: &[Message]| {
            let mut chat = prompt.clone();
            let answer = self.encode_messages(answer)?;
            chat.ids.extend(answer.ids);
            chat.loss_mask.extend(answer.loss_mask);
            Ok(chat)
        };
        Ok([with(&pair.chosen)?, with(&pair.rejected)?])
    }
}
