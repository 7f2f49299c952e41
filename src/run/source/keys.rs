//! Keys of records that are neither read nor refused, because they only describe the record.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// `Err` if keys are left that may change what is to be learned. Those that only describe the record are added to `unused`.
pub(super) fn only_described_by(
    fields: Map<String, Value>,
    unused: &mut BTreeSet<String>,
) -> std::result::Result<(), String> {
    for (key, value) in fields {
        if is_empty(&value) {
            continue;
        }
        if !is_description(&key) {
            return Err(format!(
                "the key `{key}` is not supported; remove it if it has no meaning"
            ));
        }
        unused.insert(key);
    }
    Ok(())
}

/// An absent value, as files write it.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns true if a key only describes a record and holds none of its text.
pub(super) fn is_description(key: &str) -> bool {
    let key = key.to_lowercase();
    let known = [
        "id",
        "idx",
        "index",
        "uuid",
        "hash",
        "source",
        "url",
        "date",
        "timestamp",
        "created",
        "category",
        "task",
        "topic",
        "tags",
        "language",
        "lang",
        "model",
        "dataset",
        "meta",
        "metadata",
        "license",
        "split",
        "turn",
        "turns",
        "title",
        "type",
        "score",
        "quality",
    ];
    known.contains(&key.as_str())
        || ["_id", "_score", "_date", "_url"].iter().any(|end| key.ends_with(end))
        || key.starts_with("score_")
}
