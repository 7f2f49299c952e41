//! Vocabularies as GGUF files have them: `tokenizer.ggml.*`.

use super::{Pattern, Tokenizer};
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// What a token is for, as `llama_token_type` counts it.
const NORMAL: i128 = 1;
const USER_DEFINED: i128 = 4;
const UNUSED: i128 = 5;

/// A byte-level BPE vocabulary in the words of GGUF.
pub struct GgmlVocabulary<'a> {
    /// The tokens by id, spelled as in `tokenizer.json`.
    pub tokens: Vec<&'a str>,
    /// The merges in order, two tokens and a space between.
    pub merges: Vec<&'a str>,
    /// Of each token, what it is for.
    pub token_types: Vec<i128>,
    /// How text is cut before merging.
    pub pattern: Pattern,
    /// The token that every text begins with, if one does.
    pub bos: Option<u32>,
}

impl Tokenizer {
    /// Builds the tokenizer from what a GGUF file has of its `tokenizer.json`. `file` names it in errors.
    ///
    /// Errors on anything that is broken in it, as [`Self::from_json`] does.
    pub fn from_ggml(file: &str, vocabulary: &GgmlVocabulary) -> Result<Self> {
        let broken = |problem: String| {
            let what = format!("the tokenizer of {file}");
            Error::malformed(what, problem, "take the file from its original source again")
        };
        let GgmlVocabulary { tokens, merges, token_types, pattern, bos } = vocabulary;
        if tokens.len() != token_types.len() {
            let (tokens, types) = (tokens.len(), token_types.len());
            return Err(broken(format!("it has {tokens} tokens and {types} types")));
        }
        let (mut vocab, mut added) = (Map::new(), Vec::new());
        for (id, (token, kind)) in tokens.iter().zip(token_types).enumerate() {
            match *kind {
                UNUSED => continue,
                NORMAL => {}
                // Those that a user defined are found in every text.
                kind => added.push(json!({
                    "id": id, "content": token, "special": kind != USER_DEFINED,
                })),
            }
            if vocab.insert(token.to_string(), id.into()).is_some() {
                return Err(broken(format!("the token {token:?} is there twice")));
            }
        }
        let byte_level = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": use_regex });
        let pre_tokenizer = match pattern {
            Pattern::Gpt2 => byte_level(true),
            other => json!({ "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": other.regex() }, "behavior": "Isolated" },
                byte_level(false),
            ] }),
        };
        let opening = bos.and_then(|id| Some((id, *tokens.get(id as usize)?)));
        let post_processor = opening.map(|(id, token)| {
            json!({
                "type": "TemplateProcessing",
                "single": [
                    { "SpecialToken": { "id": token, "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                ],
                "pair": [],
                "special_tokens": { token: { "id": token, "ids": [id], "tokens": [token] } },
            })
        });
        let file = json!({
            "added_tokens": added,
            "normalizer": Value::Null,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": byte_level(true),
            "model": {
                "type": "BPE",
                "vocab": vocab,
                "merges": merges,
                // Llama 3's vocabulary, which comes from tiktoken, takes known pieces whole.
                "ignore_merges": *pattern == Pattern::Llama3,
            },
        });
        Self::from_json(file.to_string().as_bytes()).map_err(|error| broken(error.to_string()))
    }
}
