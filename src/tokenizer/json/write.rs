//! Writes `tokenizer.json`.

use super::ANY_CHAR;
use super::schema::{AddedToken, Normalizer};
use crate::tokenizer::bpe::Merges;
use crate::tokenizer::normal_form::NormalForm;
use crate::tokenizer::pattern::Pattern;
use crate::tokenizer::{Inner, Model, Tokenizer, byte_chars};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Value,
    post_processor: Option<&'a Value>,
    decoder: Value,
    model: ModelOut<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum ModelOut<'a> {
    #[serde(rename = "BPE")]
    Bpe {
        dropout: Option<f32>,
        unk_token: Option<&'a str>,
        continuing_subword_prefix: Option<&'a str>,
        end_of_word_suffix: Option<&'a str>,
        fuse_unk: bool,
        byte_fallback: bool,
        ignore_merges: bool,
        vocab: Vocab<'a>,
        merges: MergesOut,
    },
    WordPiece {
        unk_token: String,
        continuing_subword_prefix: &'a str,
        max_input_chars_per_word: usize,
        vocab: Vocab<'a>,
    },
    WordLevel {
        vocab: Vocab<'a>,
        unk_token: String,
    },
}

/// Merges by rank.
#[derive(Serialize)]
#[serde(untagged)]
enum MergesOut {
    /// In the form `"a b"`, which every version of `tokenizers` reads.
    Joined(Vec<String>),
    /// In the form `["a", "b"]`, since a SentencePiece vocabulary may have tokens with spaces.
    Pairs(Vec<[String; 2]>),
}

/// All tokens with their ids. Special tokens are included, since they keep their ids only if they are in the vocabulary.
struct Vocab<'a>(&'a Inner);

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (id, _) in self.0.vocab.iter() {
            map.serialize_entry(&self.0.spelling(id), &id)?;
        }
        map.end()
    }
}

impl Inner {
    /// Returns the spelling of a token in the file.
    fn spelling(&self, id: u32) -> String {
        let bytes = self.vocab.get(id).unwrap_or_default();
        match self.model {
            Model::Byte | Model::Bpe(_) if self.specials.get(id).is_none() => {
                byte_chars::spell(bytes)
            }
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    fn model_out(&self) -> ModelOut<'_> {
        let vocab = Vocab(self);
        let spelled = |merges: &Merges| {
            let merges = merges.ordered().into_iter();
            let pairs: Vec<[String; 2]> = merges
                .map(|(_, left, right, _)| [self.spelling(left), self.spelling(right)])
                .collect();
            if pairs.iter().flatten().any(|token| token.contains(' ')) {
                return MergesOut::Pairs(pairs);
            }
            MergesOut::Joined(pairs.iter().map(|pair| pair.join(" ")).collect())
        };
        let bpe = |vocab, merges, unk_token, fuse_unk, ignore_merges| ModelOut::Bpe {
            dropout: None,
            unk_token,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk,
            byte_fallback: false,
            ignore_merges,
            vocab,
            merges,
        };
        match &self.model {
            Model::Byte => bpe(vocab, MergesOut::Joined(Vec::new()), None, false, false),
            Model::Bpe(level) => {
                let unknown = level.file.unknown.as_deref();
                let merges = spelled(level.bpe.merges());
                bpe(vocab, merges, unknown, level.bpe.fuse_unknown, level.bpe.ignore_merges)
            }
            Model::SentencePiece(pieces) => ModelOut::Bpe {
                dropout: None,
                unk_token: pieces.file.unknown.as_deref(),
                continuing_subword_prefix: None,
                end_of_word_suffix: None,
                fuse_unk: pieces.file.fuse_unknown,
                byte_fallback: true,
                ignore_merges: false,
                vocab,
                merges: spelled(pieces.merges()),
            },
            Model::WordPiece(pieces) => ModelOut::WordPiece {
                unk_token: self.spelling(pieces.unknown),
                continuing_subword_prefix: &pieces.prefix,
                max_input_chars_per_word: pieces.max_chars,
                vocab,
            },
            // The field is required; an empty string is in no vocabulary of characters.
            Model::Char(chars) => ModelOut::WordLevel {
                vocab,
                unk_token: chars.unknown.map(|id| self.spelling(id)).unwrap_or_default(),
            },
        }
    }

    fn pre_tokenizer(&self) -> Value {
        let prefix = matches!(&self.model, Model::Bpe(level) if level.file.add_prefix_space);
        let byte_level = |use_regex: bool| {
            json!({
                "type": "ByteLevel",
                "add_prefix_space": prefix,
                "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        let split = |regex: &str| {
            json!({
                "type": "Split",
                "pattern": { "Regex": regex },
                "behavior": "Isolated",
                "invert": false,
            })
        };
        match &self.model {
            Model::Byte => byte_level(false),
            Model::Char(_) => split(ANY_CHAR),
            Model::WordPiece(_) => json!({ "type": "BertPreTokenizer" }),
            Model::SentencePiece(pieces) => pieces.file.pre_tokenizer.clone().unwrap_or_default(),
            Model::Bpe(level) => match level.pattern {
                Pattern::Gpt2 => byte_level(true),
                Pattern::SmolLm => json!({
                    "type": "Sequence",
                    "pretokenizers": [
                        { "type": "Digits", "individual_digits": true },
                        byte_level(true),
                    ],
                }),
                other => json!({
                    "type": "Sequence",
                    "pretokenizers": [split(other.regex()), byte_level(false)],
                }),
            },
        }
    }

    fn decoder(&self) -> Value {
        match &self.model {
            Model::Char(_) => json!({ "type": "Fuse" }),
            Model::WordPiece(pieces) => json!({
                "type": "WordPiece",
                "prefix": pieces.prefix,
                "cleanup": pieces.cleanup,
            }),
            Model::SentencePiece(pieces) => pieces.file.decoder.clone(),
            Model::Byte | Model::Bpe(_) => json!({
                "type": "ByteLevel",
                "add_prefix_space": false,
                "trim_offsets": true,
                "use_regex": true,
            }),
        }
    }
}

impl Tokenizer {
    /// Writes `tokenizer.json`. Hugging Face's `tokenizers` loads it and, with special tokens allowed, encodes and decodes
    /// identically. [`Self::from_json`] reads it back.
    pub fn to_json(&self) -> Vec<u8> {
        let inner = &*self.0;
        let added_tokens = inner.specials.iter().map(|token| AddedToken {
            id: token.id,
            content: token.content.clone(),
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
            special: token.special,
        });
        let file = File {
            version: "1.0",
            truncation: None,
            padding: None,
            added_tokens: added_tokens.collect(),
            normalizer: match &inner.model {
                Model::WordPiece(pieces) => {
                    serde_json::to_value(Normalizer::BertNormalizer(pieces.normalizer.clone())).ok()
                }
                Model::SentencePiece(pieces) => pieces.file.normalizer.clone(),
                Model::Bpe(level) => level.file.normalizer.map(NormalForm::to_json),
                _ => None,
            },
            pre_tokenizer: inner.pre_tokenizer(),
            post_processor: inner.post.as_ref().map(|post| &post.raw),
            decoder: inner.decoder(),
            model: inner.model_out(),
        };
        // Serializing to memory fails only for maps whose keys are not strings.
        serde_json::to_vec_pretty(&file).unwrap_or_default()
    }
}
