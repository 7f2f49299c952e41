//! Parts of `tokenizer.json` that several kinds of tokenizers share.

use super::schema::{self, File};
use super::{WHAT, broken, unsupported};
use crate::error::Result;
use crate::tokenizer::bytes_map::BytesMap;
use crate::tokenizer::special::{SpecialToken, Specials};
use crate::tokenizer::vocabulary;
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) type Tokens = Vec<(String, u32)>;

/// Deserializes a part of the file. `name` is its name in errors.
pub(super) fn part<T: DeserializeOwned>(name: &str, value: &Option<Value>) -> Result<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    T::deserialize(value).map(Some).map_err(|error| unsupported(format!("{name}: {error}")))
}

pub(super) fn read_specials(added: &[schema::AddedToken], tokens: &Tokens) -> Result<Specials> {
    let contents: FxHashMap<&str, u32> =
        added.iter().map(|token| (token.content.as_str(), token.id)).collect();
    for (text, id) in tokens {
        if let Some(other) = contents.get(text.as_str()).filter(|&other| other != id) {
            return Err(broken(format!(
                "the token {text:?} has the id {id} in the vocabulary and {other} in added_tokens"
            )));
        }
    }
    let mut specials = Vec::new();
    for token in added {
        specials.push(SpecialToken {
            content: token.content.clone(),
            id: token.id,
            special: token.special,
            normalized: token.normalized,
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
        });
    }
    Specials::new(specials).map_err(|error| broken(format!("added_tokens: {error}")))
}

/// Builds a vocabulary whose tokens are spelled as plain text.
pub(super) fn plain_vocab(tokens: Tokens, specials: &Specials) -> Result<BytesMap> {
    let ordinary = tokens.into_iter().filter(|(text, _)| specials.id_of(text).is_none());
    let ordinary = ordinary.map(|(text, id)| (text.into_bytes(), id)).collect();
    vocabulary::build(WHAT, ordinary, specials)
}

/// Returns an error if a setting is used that affects encoding and that no published BPE model uses.
pub(super) fn require_plain_bpe(model: &schema::Model) -> Result<()> {
    for (name, set) in [
        ("dropout", model.dropout.is_some_and(|rate| rate != 0.0)),
        (
            "continuing_subword_prefix",
            model.continuing_subword_prefix.as_ref().is_some_and(|text| !text.is_empty()),
        ),
        ("end_of_word_suffix", model.end_of_word_suffix.as_ref().is_some_and(|t| !t.is_empty())),
    ] {
        if set {
            return Err(unsupported(format!("model: {name} is set")));
        }
    }
    Ok(())
}

/// Returns the file's merges as `(rank, left, right, merged)`, without those that would produce a special token from
/// ordinary text.
pub(super) fn ranked_merges(
    file: &File,
    tokens: &Tokens,
    specials: &Specials,
) -> Result<Vec<(u32, u32, u32, u32)>> {
    let mut merges = read_merges(file.model.merges.as_deref().unwrap_or_default(), tokens)?;
    let is_special = |id: u32| specials.get(id).is_some_and(|token| token.special);
    merges.retain(|&(left, right, id)| ![left, right, id].into_iter().any(is_special));
    let ranked = (0..).zip(merges).map(|(rank, (left, right, id))| (rank, left, right, id));
    Ok(ranked.collect())
}

/// Returns the file's merges as ids `(left, right, merged)`.
fn read_merges(merges: &[schema::Merge], tokens: &Tokens) -> Result<Vec<(u32, u32, u32)>> {
    let ids: FxHashMap<&str, u32> = tokens.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    let find = |index: usize, text: &str| {
        ids.get(text).copied().ok_or_else(|| {
            broken(format!("model: merge {index} needs the token {text:?}, which is not in vocab"))
        })
    };
    let mut result = Vec::with_capacity(merges.len());
    let mut joined = String::new();
    for (index, schema::Merge(left, right)) in merges.iter().enumerate() {
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        result.push((find(index, left)?, find(index, right)?, find(index, &joined)?));
    }
    Ok(result)
}
