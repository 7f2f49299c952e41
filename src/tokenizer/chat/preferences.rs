//! Preference pairs: two answers to one prompt, one of which was preferred.

use serde::Deserialize;
use serde_json::Value;

use super::jsonl::{first_line, parse_lines, parse_turns};
use super::{Message, Role, Turns};
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Two answers to one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferencePair {
    /// What both answer.
    pub prompt: Vec<Message>,
    /// The answer that was preferred.
    pub chosen: Vec<Message>,
    /// The other one.
    pub rejected: Vec<Message>,
}

/// A line as TRL's `DPOTrainer` reads it.
#[derive(Deserialize)]
struct Line {
    prompt: Option<Value>,
    chosen: Value,
    rejected: Value,
}

/// Whether a file is meant to hold preference pairs, by its first line: of one answer alone it is said that the other
/// is missing.
pub fn holds_preferences(text: &str) -> bool {
    let first = first_line(text);
    ["chosen", "rejected"].iter().any(|key| !first[*key].is_null())
}

/// Reads preference pairs, one a line: `{"prompt": …, "chosen": …, "rejected": …}`, all three strings (what a user
/// says, and two answers of the assistant), or all three lists of messages. Lists may also begin with the prompt
/// themselves: it is then what they have in common. `name` names the file in errors.
///
/// # Errors
/// A line of another form; a pair without a prompt, or of two equal answers; an answer in which the assistant says
/// nothing; no line at all.
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
                prompt: parse_turns(prompt)?,
                chosen: parse_turns(chosen)?,
                rejected: parse_turns(rejected)?,
            }
        }
        (None, chosen @ Value::Array(_), rejected @ Value::Array(_)) => {
            let (mut chosen, mut rejected) = (parse_turns(chosen)?, parse_turns(rejected)?);
            let common = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
            rejected.drain(..common);
            PreferencePair { prompt: chosen.drain(..common).collect(), chosen, rejected }
        }
        (None, Value::String(_), Value::String(_)) => return Err("it has no prompt".into()),
        _ => return Err("its parts are neither all strings nor all lists of messages".into()),
    };
    let answers = [("chosen", &pair.chosen), ("rejected", &pair.rejected)];
    let silent = |answer: &[Message]| answer.iter().all(|turn| turn.role != Role::Assistant);
    if pair.prompt.is_empty() {
        return Err("it has no prompt".into());
    }
    if pair.chosen == pair.rejected {
        return Err("the chosen and the rejected answer are the same".into());
    }
    match answers.iter().find(|(_, answer)| silent(answer)) {
        Some((name, _)) => Err(format!("the assistant says nothing in `{name}`")),
        None => Ok(pair),
    }
}

impl Tokenizer {
    /// The two conversations of a pair, the chosen one first, with marks on what the assistant says in the answers
    /// alone.
    ///
    /// Errors as [`Self::encode_turns`] does.
    pub fn encode_pair(&self, pair: &PreferencePair) -> Result<[Turns; 2]> {
        let mut prompt = self.encode_turns(&pair.prompt)?;
        prompt.learnt.fill(false);
        let with = |answer: &[Message]| {
            let (mut turns, answer) = (prompt.clone(), self.encode_turns(answer)?);
            turns.ids.extend(answer.ids);
            turns.learnt.extend(answer.learnt);
            Ok(turns)
        };
        Ok([with(&pair.chosen)?, with(&pair.rejected)?])
    }
}
