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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SpecialToken {
    pub(super) content: String,
    pub(super) id: u32,
    /// False for tokens that some published files add as ordinary text, which are recognized in every text.
    pub(super) special: bool,
    /// True if the token is recognized in the normalized text, after all others were recognized in the text as it is.
    pub(super) normalized: bool,
    /// True if the token is recognized only where no word continues before or after it.
    pub(super) single_word: bool,
    /// True if the token takes up the white space before it.
    pub(super) lstrip: bool,
    /// True if the token takes up the white space after it.
    pub(super) rstrip: bool,
}

/// All added tokens.
#[derive(Clone, Default)]
pub(super) struct Specials {
    /// Sorted by id.
    tokens: Vec<SpecialToken>,
    by_content: HashMap<String, u32>,
    /// Tokens of the text as it is.
    plain: Finder,
    /// Tokens of the normalized text.
    normalized: Finder,
    /// True if some tokens are recognized in every text.
    any_ordinary: bool,
}

/// Texts to find, each with its index into the tokens.
#[derive(Clone, Default)]
struct Finder(HashMap<u8, Vec<(String, usize)>>);

impl Finder {
    fn new(texts: impl Iterator<Item = (String, usize)>) -> Self {
        let mut by_first: HashMap<u8, Vec<(String, usize)>> = HashMap::new();
        for (text, index) in texts {
            if let Some(&first) = text.as_bytes().first() {
                by_first.entry(first).or_default().push((text, index));
            }
        }
        for texts in by_first.values_mut() {
            texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
        Self(by_first)
    }

    /// Returns the longest text at the start of `rest` with its index.
    fn longest<'f>(&'f self, rest: &str, allowed: &[bool]) -> Option<(&'f str, usize)> {
        let texts = self.0.get(rest.as_bytes().first()?)?;
        let found = texts.iter().find(|(text, index)| allowed[*index] && rest.starts_with(text));
        found.map(|(text, index)| (text.as_str(), *index))
    }
}

impl Specials {
    /// Collects the tokens. Returns an error for an empty or repeated token.
    pub(super) fn new(mut tokens: Vec<SpecialToken>) -> Result<Self> {
        tokens.sort_by_key(|token| token.id);
        let mut specials = Self::default();
        for token in &tokens {
            if token.content.is_empty() {
                return Err(Error::config(
                    "special token",
                    format!("the special token with id {} is empty", token.id),
                    "use special tokens that are not empty",
                ));
            }
            if specials.by_content.insert(token.content.clone(), token.id).is_some() {
                return Err(Error::config(
                    "special token",
                    format!("`{}` occurs twice", token.content),
                    "list each special token once",
                ));
            }
            specials.any_ordinary |= !token.special;
        }
        specials.tokens = tokens;
        let plain = specials.tokens.iter().enumerate().filter(|(_, token)| !token.normalized);
        specials.plain = Finder::new(plain.map(|(index, token)| (token.content.clone(), index)));
        Ok(specials.normalized_by(str::to_string))
    }

    /// Returns the tokens with the texts by which normalized ones are recognized.
    pub(super) fn normalized_by(mut self, normalize: impl Fn(&str) -> String) -> Self {
        let normalized = self.tokens.iter().enumerate().filter(|(_, token)| token.normalized);
        let texts = normalized.map(|(index, token)| (normalize(&token.content), index));
        self.normalized = Finder::new(texts);
        self
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

    /// Returns which tokens are recognized, by index; none if no token is.
    ///
    /// # Errors
    /// Returns an error if `allowed` names a token that does not exist.
    pub(super) fn recognized(&self, allowed: &AllowedSpecial) -> Result<Option<Vec<bool>>> {
        Ok(Some(match allowed {
            AllowedSpecial::None if !self.any_ordinary => return Ok(None),
            AllowedSpecial::None => self.tokens.iter().map(|token| !token.special).collect(),
            AllowedSpecial::All => vec![true; self.tokens.len()],
            AllowedSpecial::Only(names) => {
                self.check_names(names)?;
                let named = |token: &SpecialToken| names.contains(&token.content.as_str());
                self.tokens.iter().map(|token| !token.special || named(token)).collect()
            }
        }))
    }

    /// Splits a text at the recognized tokens that are not normalized. Calls `segment` for every token and every stretch of
    /// text between them.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        recognized: &[bool],
        segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        self.split_with(&self.plain, text, recognized, segment)
    }

    /// Returns true if some tokens are recognized in normalized text only.
    pub(super) fn has_normalized(&self) -> bool {
        !self.normalized.0.is_empty()
    }

    /// Splits a normalized text at the recognized tokens that are normalized, like [`Self::split`].
    pub(super) fn split_normalized<'t>(
        &self,
        text: &'t str,
        recognized: &[bool],
        segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        self.split_with(&self.normalized, text, recognized, segment)
    }

    /// Splits at the leftmost and longest tokens, as `AddedVocabulary::find_matches` in `tokenizers`.
    fn split_with<'t>(
        &self,
        finder: &Finder,
        text: &'t str,
        recognized: &[bool],
        mut segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        // Start of the text that was not passed on yet.
        let mut start = 0;
        let mut at = 0;
        while at < text.len() {
            if !text.is_char_boundary(at) {
                at += 1;
                continue;
            }
            let Some((found, index)) = finder.longest(&text[at..], recognized) else {
                at += 1;
                continue;
            };
            let token = &self.tokens[index];
            let mut end = at + found.len();
            let (before, after) = (&text[..at], &text[end..]);
            let is_inside_word = before.ends_with(is_word) || after.starts_with(is_word);
            let from =
                if token.lstrip { before.trim_end().len().max(start) } else { at.max(start) };
            at = end;
            if token.single_word && is_inside_word {
                continue;
            }
            if token.rstrip {
                end = text.len() - after.trim_start().len();
            }
            if start < from {
                segment(Segment::Text(&text[start..from]))?;
            }
            segment(Segment::Token(token.id))?;
            start = end;
        }
        if start < text.len() { segment(Segment::Text(&text[start..])) } else { Ok(()) }
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

/// Returns true for the characters of a word: `\w`, but for combining marks.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
