//! The file's post-processor, which adds tokens around a text. It is kept unchanged for writing; only its first and last
//! tokens are used.

use super::{broken, unsupported};
use crate::error::Result;
use serde_json::Value;

/// A post-processor with the tokens it adds.
#[derive(Clone)]
pub(in crate::tokenizer) struct PostProcessor {
    pub(super) raw: Value,
    pub(in crate::tokenizer) bos: Option<u32>,
    pub(in crate::tokenizer) eos: Option<u32>,
}

impl PostProcessor {
    /// Parses a post-processor. Returns an error for an unknown type and for ids that do not exist.
    pub(super) fn new(raw: Value, exists: impl Fn(u32) -> bool) -> Result<Self> {
        let (bos, eos) = ends(&raw)?;
        match [bos, eos].into_iter().flatten().find(|&id| !exists(id)) {
            Some(id) => {
                Err(broken(format!("post_processor: the id {id} is not in the vocabulary")))
            }
            None => Ok(Self { raw, bos, eos }),
        }
    }
}

type Ends = (Option<u32>, Option<u32>);

/// Returns the first and the last token that are added around a single text.
fn ends(raw: &Value) -> Result<Ends> {
    match raw["type"].as_str() {
        // Only trims offsets, which are not computed here.
        Some("ByteLevel") => Ok((None, None)),
        Some("TemplateProcessing") => template_ends(raw),
        Some("BertProcessing" | "RobertaProcessing") => {
            Ok((Some(id_at(raw, "/cls/1")?), Some(id_at(raw, "/sep/1")?)))
        }
        Some("Sequence") => {
            let mut both = (None, None);
            for part in list_at(raw, "processors")? {
                // Published files have no nested sequences, and recursion must be bounded.
                if part["type"] == "Sequence" {
                    return Err(unsupported("post_processor: a Sequence inside a Sequence"));
                }
                let (bos, eos) = ends(part)?;
                both = (bos.or(both.0), eos.or(both.1));
            }
            Ok(both)
        }
        Some(other) => Err(unsupported(format!("post_processor: unknown type `{other}`"))),
        None => Err(broken("post_processor: it has no type")),
    }
}

fn template_ends(raw: &Value) -> Result<Ends> {
    let mut bos = None;
    let mut eos = None;
    let mut after_text = false;
    for part in list_at(raw, "single")? {
        if part.get("Sequence").is_some() {
            after_text = true;
            continue;
        }
        let Some(name) = part.pointer("/SpecialToken/id").and_then(Value::as_str) else {
            return Err(broken("post_processor: unknown part of `single`"));
        };
        let ids = list_at(&raw["special_tokens"][name], "ids")?;
        let id = ids.first().and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let id = id.ok_or_else(|| broken(format!("post_processor: `{name}` has no id")))?;
        if after_text {
            eos = Some(id);
        } else {
            bos = bos.or(Some(id));
        }
    }
    Ok((bos, eos))
}

fn list_at<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    value[key].as_array().ok_or_else(|| broken(format!("post_processor: `{key}` is not a list")))
}

fn id_at(value: &Value, pointer: &str) -> Result<u32> {
    let id = value.pointer(pointer).and_then(Value::as_u64);
    id.and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| broken(format!("post_processor: `{pointer}` is not an id")))
}
