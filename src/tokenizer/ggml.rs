//! Vocabularies of GGUF files (`tokenizer.ggml.*`).

use super::{Pattern, Tokenizer};
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// Maximum bytes of an ordinary token of SentencePiece, since every split of a token is tried. The longest published one has
/// 64 characters.
const MAX_TOKEN: usize = 1024;

// Token types, as numbered in `llama_token_type`.
const USER_DEFINED: i128 = 4;
const UNUSED: i128 = 5;
const BYTE: i128 = 6;

/// A BPE vocabulary in GGUF's terms.
pub struct GgmlVocabulary<'a> {
    /// Tokens by id, spelled as in `tokenizer.json`.
    pub tokens: Vec<&'a str>,
    /// Type of each token.
    pub token_types: Vec<i128>,
    /// Tokenization algorithm.
    pub rule: GgmlRule<'a>,
    /// Token that is added before every text, if any.
    pub bos: Option<u32>,
}

/// Tokenization algorithm, by `tokenizer.ggml.model`.
pub enum GgmlRule<'a> {
    /// `gpt2`: byte-level BPE.
    ByteLevel {
        /// Merges by rank: two tokens separated by a space.
        merges: Vec<&'a str>,
        /// Pre-tokenization pattern.
        pattern: Pattern,
    },
    /// `llama`: SentencePiece's BPE.
    SentencePiece {
        /// Score of each token; higher scores are merged earlier.
        scores: Vec<f64>,
        /// True if a space is added before a text.
        opens_with_space: bool,
    },
}

impl GgmlVocabulary<'_> {
    /// Type of tokens that are ordinary text.
    pub const NORMAL: i128 = 1;
}

impl Tokenizer {
    /// Builds the tokenizer from the vocabulary of a GGUF file. `file` names it in errors.
    ///
    /// # Errors
    /// Returns an error if the vocabulary is inconsistent, and the errors of [`Self::from_json`].
    pub fn from_ggml(file: &str, vocabulary: &GgmlVocabulary) -> Result<Self> {
        let broken = |problem: String| {
            let what = format!("the tokenizer of {file}");
            Error::malformed(what, problem, "download the file again from its original source")
        };
        let GgmlVocabulary { tokens, token_types, rule, bos } = vocabulary;
        if tokens.len() != token_types.len() {
            let (tokens, types) = (tokens.len(), token_types.len());
            return Err(broken(format!("it has {tokens} tokens and {types} types")));
        }
        let mut vocab = Map::new();
        let mut added = Vec::new();
        for (id, (token, kind)) in tokens.iter().zip(token_types).enumerate() {
            match *kind {
                UNUSED => continue,
                GgmlVocabulary::NORMAL | BYTE => {}
                // User-defined tokens are found in every text, so they are not special.
                kind => added.push(json!({
                    "id": id, "content": token, "special": kind != USER_DEFINED,
                })),
            }
            if vocab.insert(token.to_string(), id.into()).is_some() {
                return Err(broken(format!("the token {token:?} occurs twice")));
            }
        }
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
        let mut file = match rule {
            GgmlRule::ByteLevel { merges, pattern } => byte_level(merges, *pattern),
            GgmlRule::SentencePiece { scores, opens_with_space } => {
                if tokens.len() != scores.len() {
                    let (tokens, scores) = (tokens.len(), scores.len());
                    return Err(broken(format!("it has {tokens} tokens and {scores} scores")));
                }
                let long = tokens.iter().zip(token_types).position(|(token, kind)| {
                    *kind == GgmlVocabulary::NORMAL && token.len() > MAX_TOKEN
                });
                if let Some(id) = long {
                    let length = tokens[id].len();
                    let problem =
                        format!("its token {id} has {length} bytes, not at most {MAX_TOKEN}");
                    return Err(broken(problem));
                }
                sentencepiece(merges_by_score(tokens, scores, &vocab), *opens_with_space)
            }
        };
        file["added_tokens"] = added.into();
        file["post_processor"] = post_processor.into();
        file["model"]["type"] = "BPE".into();
        file["model"]["vocab"] = vocab.into();
        Self::from_json(file.to_string().as_bytes()).map_err(|error| broken(error.to_string()))
    }
}

/// Returns the parts of `tokenizer.json` for byte-level BPE.
pub(super) fn byte_level(merges: &[&str], pattern: Pattern) -> Value {
    let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": use_regex });
    let sequence =
        |first: Value, regex| json!({ "type": "Sequence", "pretokenizers": [first, bytes(regex)] });
    let pre_tokenizer = match pattern {
        Pattern::Gpt2 => bytes(true),
        Pattern::SmolLm => sequence(json!({ "type": "Digits", "individual_digits": true }), true),
        other => {
            let regex = json!({ "Regex": other.regex() });
            sequence(json!({ "type": "Split", "pattern": regex, "behavior": "Isolated" }), false)
        }
    };
    json!({
        "pre_tokenizer": pre_tokenizer,
        "decoder": bytes(true),
        // Llama 3's vocabulary comes from tiktoken, where a piece in the vocabulary is one token.
        "model": { "merges": merges, "ignore_merges": pattern == Pattern::Llama3 },
    })
}

/// Returns the parts of `tokenizer.json` for SentencePiece's BPE, as transformers writes them for Llama 2.
fn sentencepiece(merges: Vec<[&str; 2]>, opens_with_space: bool) -> Value {
    let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
    let marks = replace(" ", "▁");
    let opening = json!({ "type": "Prepend", "prepend": "▁" });
    let mut decoders =
        vec![replace("▁", " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    let normalizer = if opens_with_space {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        json!({ "type": "Sequence", "normalizers": [opening, marks] })
    } else {
        marks
    };
    json!({
        "normalizer": normalizer,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": { "merges": merges, "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>" },
    })
}

/// Returns every pair of tokens whose concatenation is a token, sorted by the score of the concatenation and then by the
/// length of the left token, both descending, as transformers converts such vocabularies.
fn merges_by_score<'a>(
    tokens: &[&'a str],
    scores: &[f64],
    vocab: &Map<String, Value>,
) -> Vec<[&'a str; 2]> {
    let mut merges = Vec::new();
    let splits = |token: &str| token.len() <= MAX_TOKEN && vocab.contains_key(token);
    let known = tokens.iter().zip(scores).filter(|(token, _)| splits(token));
    for (token, score) in known {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if vocab.contains_key(left) && vocab.contains_key(right) {
                merges.push((*score, left.chars().count(), [left, right]));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    merges.into_iter().map(|(_, _, pair)| pair).collect()
}
