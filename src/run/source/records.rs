//! JSON records and their places in a file.

use std::fmt;

use serde_json::Value;

use crate::error::json_words;

/// Lines that are looked at to tell JSON from text.
const SAMPLED_LINES: usize = 1000;

/// Position of a record in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Line number, from 1.
    Line(usize),
    /// Position in the file's list, from 1.
    Item(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Item(number) => write!(f, "item {number} of its list"),
        }
    }
}

/// Returns true if a file holds JSON, judged by its name or because most of its lines begin as JSON does.
pub(super) fn is_json(name: &str, content: &str) -> bool {
    let name = name.to_lowercase();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    if matches!(extension, Some("json" | "jsonl" | "jsonlines" | "ndjson")) {
        return true;
    }
    let mut lines = 0;
    let mut opening = 0;
    let mut json = 0;
    for line in content.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        lines += 1;
        opening += usize::from(line.starts_with(['{', '[']));
        json += usize::from(line.starts_with(['{', '[', ']', '}', '"']));
        if lines == SAMPLED_LINES {
            break;
        }
    }
    let starts_as_json = content.trim_start().starts_with(['{', '[']);
    2 * opening > lines || (starts_as_json && 2 * json > lines)
}

/// Parses JSON Lines, or a file that is one list of records or one record.
///
/// # Errors
/// The first place that is not JSON, and what is wrong with it.
pub(super) fn records(content: &str) -> Result<Vec<(Place, Value)>, (Place, String)> {
    let mut lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, first)) = lines.clone().next() else {
        return Ok(Vec::new());
    };
    if let Err(first_problem) = serde_json::from_str::<Value>(first) {
        return match serde_json::from_str::<Value>(content) {
            Ok(Value::Array(items)) => Ok(numbered(items)),
            Ok(record) => Ok(vec![(Place::Line(1), record)]),
            // A list that is spread over lines opens with a bracket alone; otherwise the first line was to be a record.
            Err(problem) if !first.contains('"') && first_problem.is_eof() => {
                Err(not_json(&problem, problem.line()))
            }
            Err(_) => {
                let line = lines.next().map_or(1, |(index, _)| index + 1);
                Err(not_json(&first_problem, line))
            }
        };
    }
    let mut records = Vec::new();
    for (index, line) in lines {
        let value = serde_json::from_str(line).map_err(|problem| not_json(&problem, index + 1))?;
        match value {
            Value::Array(items) if items.iter().all(is_record) => records.extend(numbered(items)),
            value => records.push((Place::Line(index + 1), value)),
        }
    }
    Ok(records)
}

/// Parses the first record of a file of which the end may be missing.
///
/// # Errors
/// It is not JSON.
pub(super) fn first_record(beginning: &str) -> Result<Value, String> {
    let mut problem = None;
    for line in beginning.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            // A list of no records is skipped, as in `records`.
            Ok(Value::Array(items)) if items.iter().all(is_record) => {
                if let Some(first) = items.into_iter().next() {
                    return Ok(first);
                }
            }
            Ok(value) => return Ok(value),
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
    }
    // A list or an object that is spread over lines.
    let spread = beginning.trim_start();
    let spread = spread.strip_prefix('[').unwrap_or(spread);
    let value = serde_json::Deserializer::from_str(spread).into_iter().next();
    match (value, problem) {
        (Some(Ok(value)), _) => Ok(value),
        (_, Some(problem)) | (Some(Err(problem)), None) => Err(not_json(&problem, 1).1),
        (None, None) => Err("there is no record".into()),
    }
}

fn numbered(items: Vec<Value>) -> Vec<(Place, Value)> {
    items.into_iter().enumerate().map(|(index, item)| (Place::Item(index + 1), item)).collect()
}

/// Returns true if an item of a list is a record of its own and not a message.
fn is_record(item: &Value) -> bool {
    item.is_object() && item.get("role").is_none() && item.get("from").is_none()
}

fn not_json(problem: &serde_json::Error, line: usize) -> (Place, String) {
    // serde's own position counts within the text that it was given.
    (Place::Line(line), format!("not JSON: {} (column {})", json_words(problem), problem.column()))
}
