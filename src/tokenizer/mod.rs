//! Tokenizers: bytes, characters, byte-level BPE, WordPiece, and SentencePiece's BPE of published models.
//!
//! All kinds but SentencePiece can be trained from text. All kinds read and write Hugging Face's `tokenizer.json`, encode
//! identically to its `tokenizers` library and decode as a stream. The module does not access files, threads or clocks:
//! training takes a function that runs jobs ([`RunAll`]).
//!
//! ```
//! use blankslate::tokenizer::{Tokenizer, TrainOptions, run_sequentially};
//! use std::ops::ControlFlow;
//!
//! let options = TrainOptions {
//!     vocab_size: 300,
//!     special_tokens: vec!["<|endoftext|>".into()],
//!     ..TrainOptions::default()
//! };
//! let text = "she sells sea shells by the sea shore";
//! let tokenizer = Tokenizer::train(&options, [text], run_sequentially, |_| ControlFlow::Continue(()))?;
//! let ids = tokenizer.encode("sea shells")?;
//! assert_eq!(tokenizer.decode(&ids)?, "sea shells");
//! assert_eq!(Tokenizer::from_json(&tokenizer.to_json())?.encode("sea shells")?, ids);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod bert;
mod bpe;
mod byte_chars;
mod bytes_map;
mod chars;
mod chat;
mod count;
mod finder;
mod ggml;
mod json;
mod kind;
mod learned;
mod merges;
mod normal_form;
mod options;
mod pattern;
mod progress;
mod report;
mod reserve;
mod scan;
mod sentencepiece;
mod spec;
mod special;
mod stream;
mod tiktoken;
mod train;
mod unicode;
mod utf8;
mod vocabulary;
mod wordpiece;

pub use chat::{
    CHAT_TEMPLATE, CHAT_TOKENS, ChatPrompt, ChatTokens, Conversation, EncodedChat, MESSAGE_START,
    Message, PreferencePair, Role, plain_text,
};
pub use count::{RunAll, run_sequentially};
pub use ggml::{GgmlRule, GgmlVocabulary};
pub use kind::Kind;
pub use merges::LearnedMerge;
pub use options::TrainOptions;
pub use pattern::Pattern;
pub use progress::{TrainProgress, TrainStage};
pub use report::VocabularyReport;
pub use spec::END_OF_TEXT;
pub use special::AllowedSpecial;
pub use stream::StreamDecoder;

use crate::error::{Error, Result};
use bpe::{Bpe, Scratch};
use bytes_map::BytesMap;
use chars::Chars;
use json::PostProcessor;
use normal_form::NormalForm;
use sentencepiece::SentencePiece;
use special::{Segment, Specials};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use utf8::Replacement;
use wordpiece::WordPiece;

/// A vocabulary with its encoding rules. Clones share the data.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    model: Model,
    vocab: BytesMap,
    specials: Specials,
    post: Option<PostProcessor>,
}

/// The data of each kind.
#[derive(Clone)]
enum Model {
    Byte,
    Char(Chars),
    Bpe(Box<ByteLevel>),
    WordPiece(WordPiece),
    SentencePiece(Box<SentencePiece>),
}

/// Byte-level BPE with its pre-tokenization pattern.
#[derive(Clone)]
struct ByteLevel {
    bpe: Bpe,
    pattern: Pattern,
    file: ByteLevelParts,
}

/// Parts of the file of byte-level BPE that few files have.
#[derive(Clone, Default)]
struct ByteLevelParts {
    /// Unknown token. It stands for bytes without a token.
    unknown: Option<String>,
    /// Unicode normalization of texts.
    normalizer: Option<NormalForm>,
    /// True if a text that does not start with a space gets one.
    add_prefix_space: bool,
}

impl Tokenizer {
    /// Creates a byte tokenizer: ids 0 to 255 are the bytes, followed by the special tokens.
    ///
    /// # Errors
    /// Returns an error if a special token is empty, repeated or equal to a byte's token.
    pub fn byte(special_tokens: &[String]) -> Result<Self> {
        let mut vocab = BytesMap::default();
        for byte in 0..=255u8 {
            vocab.insert(&[byte])?;
        }
        let specials = reserve::append_specials(Kind::Byte, &mut vocab, special_tokens)?;
        Ok(Self::assemble(Model::Byte, vocab, specials, None))
    }

    /// Returns the tokenizer with additional special tokens at the end of the vocabulary. Existing special tokens are kept.
    ///
    /// # Errors
    /// Returns an error if a token exists as an ordinary token, since ordinary text could then produce it.
    pub fn with_special_tokens(&self, tokens: &[&str]) -> Result<Self> {
        let Inner { model, vocab, specials, post } = &*self.0;
        let known = |token: &&&str| specials.id_of(token).is_some_and(|id| self.is_special(id));
        let new: Vec<String> =
            tokens.iter().filter(|token| !known(token)).map(|token| token.to_string()).collect();
        let mut vocab = vocab.clone();
        let added = reserve::append_specials(self.kind(), &mut vocab, &new)?;
        let all = specials.iter().chain(added.iter()).cloned();
        let specials = Specials::new(all.collect())?;
        Ok(Self::assemble(model.clone(), vocab, specials, post.clone()))
    }

    fn assemble(
        model: Model,
        vocab: BytesMap,
        specials: Specials,
        post: Option<PostProcessor>,
    ) -> Self {
        let plain = Self(Arc::new(Inner { model, vocab, specials: Specials::default(), post }));
        let specials = specials.normalized_by(|content| plain.normalized(content).into_owned());
        let mut inner = Arc::into_inner(plain.0).expect("nothing else holds it yet");
        inner.specials = specials;
        Self(Arc::new(inner))
    }

    /// Returns the kind of the tokenizer.
    pub fn kind(&self) -> Kind {
        match self.0.model {
            Model::Byte => Kind::Byte,
            Model::Char(_) => Kind::Char,
            Model::Bpe(_) => Kind::Bpe,
            Model::WordPiece(_) => Kind::WordPiece,
            Model::SentencePiece(_) => Kind::SentencePiece,
        }
    }

    /// Returns the pre-tokenization pattern of byte-level BPE; `None` for other kinds.
    pub fn pattern(&self) -> Option<Pattern> {
        match &self.0.model {
            Model::Bpe(level) => Some(level.pattern),
            _ => None,
        }
    }

    /// Returns the highest id plus one, the number of rows of an embedding.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab.len()
    }

    /// Encodes a text. Special tokens in it are encoded as ordinary text.
    ///
    /// # Errors
    /// Returns an error if a character or byte has no token, which can happen in character vocabularies without an unknown
    /// token and in published byte-level vocabularies that lack bytes.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with_special(text, &AllowedSpecial::None)
    }

    /// Encodes a text that may contain the allowed special tokens. With [`AllowedSpecial::All`] the result equals that of
    /// `tokenizers` without its post-processor.
    ///
    /// # Errors
    /// Returns the errors of [`Self::encode`], and an error if an allowed name is not a special token.
    pub fn encode_with_special(&self, text: &str, allowed: &AllowedSpecial) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        let mut scratch = Scratch::default();
        let specials = &self.0.specials;
        let Some(recognized) = specials.recognized(allowed)? else {
            self.encode_ordinary(&self.normalized(text), true, &mut scratch, &mut ids)?;
            return Ok(ids);
        };
        let mut first = true;
        specials.split(text, &recognized, |segment| {
            let text = match segment {
                Segment::Token(id) => {
                    ids.push(id);
                    first = false;
                    return Ok(());
                }
                Segment::Text(text) => self.normalized(text),
            };
            if !specials.has_normalized() {
                self.encode_ordinary(&text, first, &mut scratch, &mut ids)?;
                first = false;
                return Ok(());
            }
            specials.split_normalized(&text, &recognized, |segment| {
                match segment {
                    Segment::Token(id) => ids.push(id),
                    Segment::Text(text) => {
                        self.encode_ordinary(text, first, &mut scratch, &mut ids)?;
                    }
                }
                first = false;
                Ok(())
            })
        })?;
        Ok(ids)
    }

    /// Applies the normalizer, which precedes the search for normalized added tokens.
    fn normalized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.0.model {
            Model::SentencePiece(pieces) => pieces.normalize(text),
            Model::WordPiece(pieces) => pieces.normalizer.normalize(text).into(),
            Model::Bpe(level) => match level.file.normalizer {
                Some(form) => form.apply(text),
                None => text.into(),
            },
            Model::Byte | Model::Char(_) => text.into(),
        }
    }

    /// Encodes normalized text without special tokens; `first` is true at the start of the whole text.
    fn encode_ordinary(
        &self,
        text: &str,
        first: bool,
        scratch: &mut Scratch,
        ids: &mut Vec<u32>,
    ) -> Result<()> {
        let vocab = &self.0.vocab;
        match &self.0.model {
            Model::Byte => ids.extend(text.bytes().map(u32::from)),
            Model::Char(chars) => chars.encode(vocab, text, ids)?,
            Model::Bpe(level) => {
                let text = if level.file.add_prefix_space && !text.starts_with(' ') {
                    Cow::Owned(format!(" {text}"))
                } else {
                    Cow::Borrowed(text)
                };
                for piece in level.pattern.pieces(&text) {
                    level.bpe.encode(vocab, piece, scratch, ids)?;
                }
            }
            Model::WordPiece(pieces) => pieces.encode(vocab, text, ids),
            Model::SentencePiece(pieces) => {
                pieces.encode(vocab, text, first, scratch, ids);
            }
        }
        Ok(())
    }

    /// Decodes tokens to text. Invalid UTF-8 becomes U+FFFD: one per truncated character, or one per byte with
    /// SentencePiece.
    ///
    /// # Errors
    /// Returns an error if an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let bytes = self.decode_bytes(ids)?;
        let mut text = String::with_capacity(bytes.len());
        let cut = self.replacement().append_text(&bytes, &mut text);
        self.replacement().append(cut, &mut text);
        Ok(text)
    }

    /// Returns the rule for replacing invalid UTF-8.
    fn replacement(&self) -> Replacement {
        match self.kind() {
            Kind::SentencePiece => Replacement::PerByte,
            Kind::Byte | Kind::Char | Kind::Bpe | Kind::WordPiece => Replacement::PerSequence,
        }
    }

    /// Decodes tokens to bytes. They are UTF-8 unless the tokens start or end inside a character.
    ///
    /// # Errors
    /// Returns an error if an id is not in the vocabulary.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (index, &id) in ids.iter().enumerate() {
            self.append_bytes(id, index == 0, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Appends the bytes of a token; `first` is true for the first token of a text.
    fn append_bytes(&self, id: u32, first: bool, out: &mut Vec<u8>) -> Result<()> {
        let token = self
            .token_bytes(id)
            .ok_or(Error::TokenOutOfRange { id: id.into(), vocab_size: self.vocab_size() })?;
        match &self.0.model {
            Model::WordPiece(pieces) => pieces.decode(token, first, out),
            Model::SentencePiece(pieces) if self.0.specials.get(id).is_none() => {
                pieces.decode(token, first, out);
            }
            _ => out.extend_from_slice(token),
        }
        Ok(())
    }

    /// Returns the id of a special token or of an ordinary token by its text. WordPiece tokens that continue a word start
    /// with `##`.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.0.specials.id_of(token).or_else(|| self.0.vocab.find(token.as_bytes()))
    }

    /// Returns the bytes of a token in the form that [`Self::id_of`] takes; `None` for an unused id.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.0.vocab.get(id)
    }

    /// Returns the special tokens with their ids, sorted by id.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let special = self.0.specials.iter().filter(|token| token.special);
        special.map(|token| (token.content.as_str(), token.id))
    }

    /// Returns true for the id of a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.specials.get(id).is_some_and(|token| token.special)
    }

    /// Returns the tokens that the file's post-processor adds before a text.
    pub fn opening(&self) -> &[u32] {
        self.0.post.as_ref().map_or(&[], |post| &post.opening)
    }

    /// Returns the first token that the file's post-processor adds before a text.
    pub fn bos(&self) -> Option<u32> {
        self.opening().first().copied()
    }

    /// Returns the last token that the file's post-processor adds after a text.
    pub fn eos(&self) -> Option<u32> {
        self.0.post.as_ref()?.closing.last().copied()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("kind", &self.kind())
            .field("vocab_size", &self.vocab_size())
            .field("special_tokens", &self.special_tokens().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
