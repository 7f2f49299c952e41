//! Text to token ids and back: bytes, characters, byte-level BPE and WordPiece, and SentencePiece's BPE of published
//! files.
//!
//! The first four train from text, read and write Hugging Face's `tokenizer.json` (which its
//! `tokenizers` library then encodes with identically), and decode as a stream. The module knows
//! of no files, threads or clocks: training is given a function that runs jobs ([`RunAll`]).
//!
//! ```
//! use blankslate::tokenizer::{Tokenizer, TrainOptions, in_turn};
//! use std::ops::ControlFlow;
//!
//! let options = TrainOptions {
//!     vocab_size: 300,
//!     special_tokens: vec!["<|endoftext|>".into()],
//!     ..TrainOptions::default()
//! };
//! let text = "she sells sea shells by the sea shore";
//! let tokenizer = Tokenizer::train(&options, [text], in_turn, |_| ControlFlow::Continue(()))?;
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
mod ggml;
mod json;
mod learned;
mod merges;
mod pattern;
mod report;
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
    CHAT_TEMPLATE, ChatPrompt, Message, PreferencePair, Role, TurnTokens, Turns,
    holds_conversations, holds_preferences, parse_conversations, parse_preferences, plain_text,
};
pub use count::{RunAll, in_turn};
pub use ggml::{GgmlRule, GgmlVocabulary};
pub use learned::LearnedMerge;
pub use pattern::Pattern;
pub use report::VocabularyReport;
pub use spec::END_OF_TEXT;
pub use special::AllowedSpecial;
pub use stream::StreamDecoder;
pub use train::{TrainOptions, TrainProgress, TrainStage};

use crate::error::{Error, Result};
use bpe::{Bpe, Scratch};
use bytes_map::BytesMap;
use chars::Chars;
use json::PostProcessor;
use sentencepiece::SentencePiece;
use serde::{Deserialize, Serialize};
use special::{Part, Specials};
use std::fmt;
use std::sync::Arc;
use utf8::Marks;
use wordpiece::WordPiece;

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One token per byte of UTF-8: 256 ids, no training.
    Byte,
    /// One token per character of the training text.
    Char,
    /// Byte pairs merged by frequency, as in GPT-2, GPT-4 and Llama 3.
    #[default]
    Bpe,
    /// Longest known pieces of each word, as in BERT.
    WordPiece,
    /// Characters merged by frequency, and bytes where there is no character, as in Llama 2: read from files only.
    SentencePiece,
}

/// A vocabulary and the rules that go with it. A clone shares both.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    model: Model,
    vocab: BytesMap,
    specials: Specials,
    post: Option<PostProcessor>,
}

/// What differs between the kinds.
#[derive(Clone)]
enum Model {
    Byte,
    Char(Chars),
    Bpe(Box<ByteLevel>),
    WordPiece(WordPiece),
    SentencePiece(Box<SentencePiece>),
}

/// Byte-level BPE with the pattern that cuts its pieces.
#[derive(Clone)]
struct ByteLevel {
    bpe: Bpe,
    pattern: Pattern,
    /// Some files name an unknown token; bytes never need it, but it is kept for the file.
    unknown: Option<String>,
}

impl Tokenizer {
    /// A tokenizer of bytes: ids 0 to 255 are the bytes, then the special tokens in order.
    ///
    /// Errors on an empty or repeated special token, or one that is itself a byte's token.
    pub fn byte(special_tokens: &[String]) -> Result<Self> {
        let mut vocab = BytesMap::default();
        for byte in 0..=255u8 {
            vocab.insert(&[byte])?;
        }
        let specials = train::append_specials(Kind::Byte, &mut vocab, special_tokens)?;
        Ok(Self::assemble(Model::Byte, vocab, specials, None))
    }

    /// This tokenizer with further special tokens, whose ids follow all others; those that it has stay.
    ///
    /// Errors on one that it has as ordinary text: a text could then forge it.
    pub fn with_special_tokens(&self, tokens: &[&str]) -> Result<Self> {
        let Inner { model, vocab, specials, post } = &*self.0;
        let known = |token: &&&str| specials.id_of(token).is_some_and(|id| self.is_special(id));
        let new: Vec<String> =
            tokens.iter().filter(|token| !known(token)).map(|token| token.to_string()).collect();
        let mut vocab = vocab.clone();
        let added = train::append_specials(self.kind(), &mut vocab, &new)?;
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
        Self(Arc::new(Inner { model, vocab, specials, post }))
    }

    /// Which kind of tokenizer this is.
    pub fn kind(&self) -> Kind {
        match self.0.model {
            Model::Byte => Kind::Byte,
            Model::Char(_) => Kind::Char,
            Model::Bpe(_) => Kind::Bpe,
            Model::WordPiece(_) => Kind::WordPiece,
            Model::SentencePiece(_) => Kind::SentencePiece,
        }
    }

    /// The pattern that cuts text before BPE merges; `None` for the other kinds.
    pub fn pattern(&self) -> Option<Pattern> {
        match &self.0.model {
            Model::Bpe(level) => Some(level.pattern),
            _ => None,
        }
    }

    /// One more than the highest id: the rows that an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab.len()
    }

    /// The tokens of a text. What looks like a special token is ordinary text.
    ///
    /// Errors if a character or byte has no token (character vocabularies without an unknown
    /// token, and published byte-level files that lack bytes).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with_special(text, &AllowedSpecial::None)
    }

    /// The tokens of a text in which the allowed special tokens stand for themselves. With
    /// [`AllowedSpecial::All`] this is what `tokenizers` gives without its post-processor.
    ///
    /// Errors as [`Self::encode`] does, and on an allowed name that is no special token.
    pub fn encode_with_special(&self, text: &str, allowed: &AllowedSpecial) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 1);
        let mut scratch = Scratch::default();
        self.0.specials.split(text, allowed, |part| {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text) => self.encode_ordinary(text, &mut scratch, &mut ids)?,
            }
            Ok(())
        })?;
        Ok(ids)
    }

    fn encode_ordinary(&self, text: &str, scratch: &mut Scratch, ids: &mut Vec<u32>) -> Result<()> {
        let vocab = &self.0.vocab;
        match &self.0.model {
            Model::Byte => ids.extend(text.bytes().map(u32::from)),
            Model::Char(chars) => chars.encode(vocab, text, ids)?,
            Model::Bpe(level) => {
                for piece in level.pattern.pieces(text) {
                    level.bpe.encode(vocab, piece, scratch, ids)?;
                }
            }
            Model::WordPiece(pieces) => pieces.encode(vocab, text, ids),
            Model::SentencePiece(pieces) => {
                let first = ids.is_empty();
                pieces.encode(vocab, text, first, scratch, ids);
            }
        }
        Ok(())
    }

    /// The text of some tokens. Bytes that are not UTF-8 become U+FFFD: one for each beginning of a character, in
    /// SentencePiece's vocabularies one for each byte.
    ///
    /// Errors if an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let bytes = self.decode_bytes(ids)?;
        let mut text = String::with_capacity(bytes.len());
        let cut = self.marks().append_text(&bytes, &mut text);
        self.marks().append(cut, &mut text);
        Ok(text)
    }

    /// What stands for bytes that are no UTF-8.
    fn marks(&self) -> Marks {
        match self.kind() {
            Kind::SentencePiece => Marks::PerByte,
            Kind::Byte | Kind::Char | Kind::Bpe | Kind::WordPiece => Marks::PerBeginning,
        }
    }

    /// The bytes of some tokens: UTF-8 unless they begin or end inside a character.
    ///
    /// Errors if an id is not in the vocabulary.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for (index, &id) in ids.iter().enumerate() {
            self.append_bytes(id, index == 0, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Appends what a token adds to a text, which is `first` in it or not.
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

    /// A decoder for tokens that come one at a time.
    pub fn stream_decoder(&self) -> StreamDecoder {
        StreamDecoder::new(self.clone())
    }

    /// The id of a token by its text: a special token, or else text that is one token as it
    /// stands (in WordPiece vocabularies with `##` where it continues a word).
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.0.specials.id_of(token).or_else(|| self.0.vocab.find(token.as_bytes()))
    }

    /// The bytes of a token, as [`Self::id_of`] takes them; `None` for an id that nothing has.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.0.vocab.get(id)
    }

    /// The special tokens and their ids, in order of id.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let special = self.0.specials.iter().filter(|token| token.special);
        special.map(|token| (token.content.as_str(), token.id))
    }

    /// Whether an id is that of a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.specials.get(id).is_some_and(|token| token.special)
    }

    /// The token that the file says every text begins with: its post-processor's first.
    pub fn bos(&self) -> Option<u32> {
        self.0.post.as_ref()?.bos
    }

    /// The token that the file says every text ends with: its post-processor's last.
    pub fn eos(&self) -> Option<u32> {
        self.0.post.as_ref()?.eos
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
