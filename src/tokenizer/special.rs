//! Special tokens, which ordinary text never produces.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// Special tokens that are recognized in a text. All others are encoded as ordinary text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowedSpecial<'a> {
    /// No special tokens, the safe choice for untrusted text.
    #[default]
    None,
    /// All special tokens of the vocabulary.
    All,
    /// Only these special tokens.
    Only(&'a [&'a str]),
}

/// An added token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpecialToken {
    pub(super) content: String,
    pub(super) id: u32,
    /// False for tokens that some published files add as ordinary text, which are recognized in every text.
    pub(super) special: bool,
    /// Kept only for writing the file; the text of added tokens is never normalized here.
    pub(super) normalized: bool,
}

/// All added tokens.
#[derive(Clone, Default)]
pub(super) struct Specials {
    /// Sorted by id.
    tokens: Vec<SpecialToken>,
    by_content: HashMap<String, u32>,
    /// Indices into `tokens` by first byte, longest token first.
    by_first: HashMap<u8, Vec<usize>>,
    /// True if some tokens are recognized in every text.
    any_ordinary: bool,
}

impl Specials {
    /// Collects the tokens. Returns an error for an empty or repeated token.
    pub(super) fn new(mut tokens: Vec<SpecialToken>) -> Result<Self> {
        tokens.sort_by_key(|token| token.id);
        let mut specials = Self::default();
        for (index, token) in tokens.iter().enumerate() {
            let Some(&first) = token.content.as_bytes().first() else {
                return Err(Error::config(
                    "special token",
                    format!("the special token with id {} is empty", token.id),
                    "use special tokens that are not empty",
                ));
            };
            if specials.by_content.insert(token.content.clone(), token.id).is_some() {
                return Err(Error::config(
                    "special token",
                    format!("`{}` occurs twice", token.content),
                    "list each special token once",
                ));
            }
            specials.by_first.entry(first).or_default().push(index);
            specials.any_ordinary |= !token.special;
        }
        for indices in specials.by_first.values_mut() {
            indices.sort_by_key(|&index| std::cmp::Reverse(tokens[index].content.len()));
        }
        specials.tokens = tokens;
        Ok(specials)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, SpecialToken> {
        self.tokens.iter()
    }

    pub(super) fn id_of(&self, content: &str) -> Option<u32> {
        self.by_content.get(content).copied()
    }

    pub(super) fn get(&self, id: u32) -> Option<&SpecialToken> {
        let index = self.tokens.binary_search_by_key(&id, |token| token.id).ok()?;
        self.tokens.get(index)
    }

    /// Splits `text` at the allowed tokens, leftmost and longest first, and calls `segment` for every token and every
    /// stretch of text between them.
    ///
    /// # Errors
    /// Returns an error if `allowed` names a token that does not exist, and the errors of `segment`.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        allowed: &AllowedSpecial,
        mut segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        let allow: Vec<bool> = match allowed {
            AllowedSpecial::None if !self.any_ordinary => return segment(Segment::Text(text)),
            AllowedSpecial::None => self.tokens.iter().map(|token| !token.special).collect(),
            AllowedSpecial::All => vec![true; self.tokens.len()],
            AllowedSpecial::Only(names) => {
                self.check_names(names)?;
                let named = |token: &SpecialToken| names.contains(&token.content.as_str());
                self.tokens.iter().map(|token| !token.special || named(token)).collect()
            }
        };
        let bytes = text.as_bytes();
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let found = self.by_first.get(&bytes[at]).and_then(|indices| {
                let here = |token: &SpecialToken| bytes[at..].starts_with(token.content.as_bytes());
                indices.iter().find(|&&index| allow[index] && here(&self.tokens[index]))
            });
            let Some(&index) = found else {
                at += 1;
                continue;
            };
            let token = &self.tokens[index];
            if start < at {
                segment(Segment::Text(&text[start..at]))?;
            }
            segment(Segment::Token(token.id))?;
            at += token.content.len();
            start = at;
        }
        if start < at { segment(Segment::Text(&text[start..])) } else { Ok(()) }
    }

    fn check_names(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|&&name| self.id_of(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::config(
                "allowed special tokens",
                format!("`{name}` is not a special token of this vocabulary"),
                format!("use one of: {}", self.listed()),
            )),
        }
    }

    fn listed(&self) -> String {
        let names: Vec<_> = self.tokens.iter().map(|token| token.content.as_str()).collect();
        if names.is_empty() { "(there are none)".into() } else { names.join(", ") }
    }
}

/// A segment of a text that was split at special tokens.
pub(super) enum Segment<'t> {
    Text(&'t str),
    Token(u32),
}
