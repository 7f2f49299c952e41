//! The file's post-processor, which adds tokens around a text. It is kept unchanged for writing.

use super::{broken, unsupported};
use crate::error::Result;
use serde_json::Value;

/// A post-processor with the tokens it adds.
#[derive(Clone)]
pub(in crate::tokenizer) struct PostProcessor {
    pub(super) raw: Value,
    /// Tokens before a text.
    pub(in crate::tokenizer) opening: Vec<u32>,
    /// Tokens after a text.
    pub(in crate::tokenizer) closing: Vec<u32>,
}

impl PostProcessor {
    /// Parses a post-processor. Returns an error for an unknown type and for ids that do not exist.
    pub(super) fn new(raw: Value, exists: impl Fn(u32) -> bool) -> Result<Self> {
        let (opening, closing) = around(&raw)?;
        match opening.iter().chain(&closing).find(|id| !exists(**id)) {
            Some(id) => {
                Err(broken(format!("post_processor: the id {id} is not in the vocabulary")))
            }
            None => Ok(Self { raw, opening, closing }),
        }
    }
}

type Around = (Vec<u32>, Vec<u32>);

/// Returns the tokens that are added before and after a single text.
fn around(raw: &Value) -> Result<Around> {
    match raw["type"].as_str() {
        // Only trims offsets, which are not computed here.
        Some("ByteLevel") => Ok(Around::default()),
        Some("TemplateProcessing") => around_template(raw),
        Some("BertProcessing" | "RobertaProcessing") => {
            Ok((vec![id_at(raw, "/cls/1")?], vec![id_at(raw, "/sep/1")?]))
        }
        Some("Sequence") => {
            let (mut opening, mut closing) = Around::default();
            for part in list_at(raw, "processors")? {
                // Published files have no nested sequences, and recursion must be bounded.
                if part["type"] == "Sequence" {
                    return Err(unsupported("post_processor: a Sequence inside a Sequence"));
                }
                let (before, after) = around(part)?;
                opening.splice(0..0, before);
                closing.extend(after);
            }
            Ok((opening, closing))
        }
        Some(other) => Err(unsupported(format!("post_processor: unknown type `{other}`"))),
        None => Err(broken("post_processor: it has no type")),
    }
}

fn around_template(raw: &Value) -> Result<Around> {
    let (mut opening, mut closing) = Around::default();
    let mut after_text = false;
    for part in list_at(raw, "single")? {
        if part.get("Sequence").is_some() {
            after_text = true;
            continue;
        }
        let Some(name) = part.pointer("/SpecialToken/id").and_then(Value::as_str) else {
            return Err(broken("post_processor: unknown part of `single`"));
        };
        let ids = list_at(&raw["special_tokens"][name], "ids")?.iter();
        let ids: Option<Vec<u32>> = ids.map(|id| u32::try_from(id.as_u64()?).ok()).collect();
        let ids = ids.filter(|ids| !ids.is_empty());
        let ids = ids.ok_or_else(|| broken(format!("post_processor: `{name}` has no id")))?;
        if after_text { closing.extend(ids) } else { opening.extend(ids) }
    }
    Ok((opening, closing))
}

fn list_at<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    value[key].as_array().ok_or_else(|| broken(format!("post_processor: `{key}` is not a list")))
}

fn id_at(value: &Value, pointer: &str) -> Result<u32> {
    let id = value.pointer(pointer).and_then(Value::as_u64);
    id.and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| broken(format!("post_processor: `{pointer}` is not an id")))
}
