//! Schema of `tokenizer.json`. Unknown fields and types are errors, since they could affect encoding.

use crate::tokenizer::bert::BertNormalizer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};
use serde_json::Value;
use std::fmt;

/// The whole file. `truncation` and `padding` affect batches, not tokens, and are ignored.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "version")]
    pub(super) _version: Option<IgnoredAny>,
    #[serde(rename = "truncation")]
    pub(super) _truncation: Option<IgnoredAny>,
    #[serde(rename = "padding")]
    pub(super) _padding: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) normalizer: Option<Value>,
    pub(super) pre_tokenizer: Option<Value>,
    pub(super) post_processor: Option<Value>,
    pub(super) decoder: Option<Value>,
    pub(super) model: Model,
}

/// A token that is added to the model's vocabulary, or marked as special in it.
#[derive(Derive, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) single_word: bool,
    #[serde(default)]
    pub(super) lstrip: bool,
    #[serde(default)]
    pub(super) rstrip: bool,
    #[serde(default)]
    pub(super) normalized: bool,
    #[serde(default)]
    pub(super) special: bool,
}

/// A model of any type; `type` determines which fields are used.
#[derive(Derive)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// Missing in the oldest files.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) vocab: Vocab,
    pub(super) merges: Option<Vec<Merge>>,
    pub(super) unk_token: Option<String>,
    pub(super) dropout: Option<f64>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    pub(super) fuse_unk: Option<bool>,
    pub(super) byte_fallback: Option<bool>,
    pub(super) ignore_merges: Option<bool>,
    pub(super) max_input_chars_per_word: Option<usize>,
    /// Field of Unigram models, parsed so that the error names the type instead of the field.
    #[serde(rename = "unk_id")]
    pub(super) _unk_id: Option<IgnoredAny>,
}

/// Tokens with their ids in the file's order; `None` for a list, as in Unigram models.
pub(super) struct Vocab(pub(super) Option<Vec<(String, u32)>>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocab;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map from token to id")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Vocab(Some(entries)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Vocab(None))
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

/// Two tokens that merge: `"a b"` in older files, `["a", "b"]` in newer ones.
pub(super) struct Merge(pub(super) String, pub(super) String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Two;
        impl<'de> Visitor<'de> for Two {
            type Value = Merge;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a merge, as \"a b\" or [\"a\", \"b\"]")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => {
                        Ok(Merge(left.into(), right.into()))
                    }
                    _ => Err(E::custom(format!("the merge {text:?} is not two tokens"))),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                match (list.next_element()?, list.next_element()?) {
                    (Some(left), Some(right)) if list.next_element::<String>()?.is_none() => {
                        Ok(Merge(left, right))
                    }
                    _ => Err(A::Error::custom("a merge is not two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Two)
    }
}

/// Supported normalizers.
#[derive(Derive, Serialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Normalizer {
    BertNormalizer(BertNormalizer),
    Sequence { normalizers: Vec<Normalizer> },
    Prepend { prepend: String },
    Replace { pattern: SplitPattern, content: String },
}

/// Supported pre-tokenizers.
#[derive(Derive)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum PreTokenizer {
    Sequence {
        pretokenizers: Vec<PreTokenizer>,
    },
    ByteLevel {
        #[serde(default)]
        add_prefix_space: bool,
        /// Affects only offsets, which are not computed here.
        #[serde(rename = "trim_offsets", default)]
        _trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Split {
        pattern: SplitPattern,
        behavior: String,
        #[serde(default)]
        invert: bool,
    },
    #[serde(rename = "BertPreTokenizer")]
    Bert {},
    Digits {
        individual_digits: bool,
    },
    Metaspace {
        replacement: String,
        #[serde(default)]
        prepend_scheme: PrependScheme,
        /// Older files: false means that no space is added.
        add_prefix_space: Option<bool>,
        /// Older files: the replacement once more.
        #[serde(rename = "str_rep")]
        _str_rep: Option<IgnoredAny>,
        #[serde(default = "yes")]
        split: bool,
    },
}

/// Texts before which `Metaspace` adds a space.
#[derive(Derive, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum PrependScheme {
    Never,
    First,
    #[default]
    Always,
}

/// Pattern of a `Split` or a `Replace`.
#[derive(Derive, Serialize)]
pub(super) enum SplitPattern {
    Regex(String),
    String(String),
}

/// Supported decoders.
#[derive(Derive)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Decoder {
    ByteLevel {
        #[serde(rename = "add_prefix_space", default)]
        _add_prefix_space: bool,
        #[serde(rename = "trim_offsets", default)]
        _trim_offsets: bool,
        #[serde(rename = "use_regex", default)]
        _use_regex: bool,
    },
    WordPiece {
        prefix: String,
        cleanup: bool,
    },
    Fuse {},
    Sequence {
        decoders: Vec<Decoder>,
    },
    Replace {
        pattern: SplitPattern,
        content: String,
    },
    ByteFallback {},
    Strip {
        content: String,
        start: usize,
        stop: usize,
    },
}

fn yes() -> bool {
    true
}
