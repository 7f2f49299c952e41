//! Tokens that ordinary text never produces, and where they stand in a text that may have them.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// Which special tokens a text may contain; those it may not are ordinary text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowedSpecial<'a> {
    /// None: the safe choice for text of unknown origin.
    #[default]
    None,
    /// All that the vocabulary has.
    All,
    /// These alone, by their text.
    Only(&'a [&'a str]),
}

/// A token that stands beside the learnt vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpecialToken {
    pub(super) content: String,
    pub(super) id: u32,
    /// False for a token that some published files add to the vocabulary as ordinary text: it is
    /// then found in every text.
    pub(super) special: bool,
    /// Kept for the file only: nothing here normalizes the text of special tokens.
    pub(super) normalized: bool,
}

/// All tokens beside the learnt vocabulary.
#[derive(Clone, Default)]
pub(super) struct Specials {
    /// In order of id.
    tokens: Vec<SpecialToken>,
    by_content: HashMap<String, u32>,
    /// By first byte, indices into `tokens`, longest first.
    by_first: HashMap<u8, Vec<usize>>,
    /// Whether some are found in every text.
    any_ordinary: bool,
}

impl Specials {
    /// Errors on an empty or repeated token.
    pub(super) fn new(mut tokens: Vec<SpecialToken>) -> Result<Self> {
        tokens.sort_by_key(|token| token.id);
        let mut specials = Self::default();
        for (index, token) in tokens.iter().enumerate() {
            let Some(&first) = token.content.as_bytes().first() else {
                return Err(Error::config(
                    "special token",
                    format!("the one with id {} is empty", token.id),
                    "give every special token a text",
                ));
            };
            if specials.by_content.insert(token.content.clone(), token.id).is_some() {
                return Err(Error::config(
                    "special token",
                    format!("`{}` is given twice", token.content),
                    "name each special token once",
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

    /// Cuts `text` at the tokens that are allowed (the leftmost first, of those that begin at one
    /// place the longest) and calls `part` with every stretch between and every token.
    ///
    /// Errors if `allowed` names a token that does not exist.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        allowed: &AllowedSpecial,
        mut part: impl FnMut(Part<'t>) -> Result<()>,
    ) -> Result<()> {
        let allow: Vec<bool> = match allowed {
            AllowedSpecial::None if !self.any_ordinary => return part(Part::Text(text)),
            AllowedSpecial::None => self.tokens.iter().map(|token| !token.special).collect(),
            AllowedSpecial::All => vec![true; self.tokens.len()],
            AllowedSpecial::Only(names) => {
                self.check_names(names)?;
                let named = |token: &SpecialToken| names.contains(&token.content.as_str());
                self.tokens.iter().map(|token| !token.special || named(token)).collect()
            }
        };
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
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
                part(Part::Text(&text[start..at]))?;
            }
            part(Part::Token(token.id))?;
            at += token.content.len();
            start = at;
        }
        if start < at { part(Part::Text(&text[start..])) } else { Ok(()) }
    }

    fn check_names(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|&&name| self.id_of(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(Error::config(
                "allowed special tokens",
                format!("`{name}` is not a special token of this vocabulary"),
                format!("choose from: {}", self.listed()),
            )),
        }
    }

    fn listed(&self) -> String {
        let names: Vec<_> = self.tokens.iter().map(|token| token.content.as_str()).collect();
        if names.is_empty() { "(it has none)".into() } else { names.join(", ") }
    }
}

/// A part of a text that was cut at special tokens.
pub(super) enum Part<'t> {
    Text(&'t str),
    Token(u32),
}
