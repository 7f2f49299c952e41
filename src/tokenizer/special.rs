//! Special tokens, which ordinary text never produces.

use super::finder::Finder;
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

/// Maximum bytes of a token that is searched for: each position of a text is compared with up to as many.
const MAX_CONTENT: usize = 1024;

/// The tokens that are recognized in a text.
pub(super) enum Recognized {
    /// All tokens.
    All,
    /// Tokens that are not special, and special ones with these ids.
    Ordinary(Vec<u32>),
}

impl Recognized {
    fn includes(&self, token: &SpecialToken) -> bool {
        match self {
            Self::All => true,
            Self::Ordinary(named) => !token.special || named.contains(&token.id),
        }
    }
}

impl Specials {
    /// Collects the tokens. Returns an error for an empty, very long or repeated token.
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
            if token.content.len() > MAX_CONTENT {
                return Err(Error::config(
                    "special token",
                    format!("the one with id {} has {} bytes", token.id, token.content.len()),
                    format!("use tokens of at most {MAX_CONTENT} bytes"),
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

    /// Returns which tokens are recognized; none if no token is.
    ///
    /// # Errors
    /// Returns an error if `allowed` names a token that does not exist.
    pub(super) fn recognized(&self, allowed: &AllowedSpecial) -> Result<Option<Recognized>> {
        Ok(match allowed {
            AllowedSpecial::None if !self.any_ordinary => None,
            AllowedSpecial::None => Some(Recognized::Ordinary(Vec::new())),
            AllowedSpecial::All => Some(Recognized::All),
            AllowedSpecial::Only(names) => {
                self.check_names(names)?;
                let ids = names.iter().filter_map(|name| self.id_of(name));
                Some(Recognized::Ordinary(ids.collect()))
            }
        })
    }

    /// Splits a text at the recognized tokens that are not normalized. Calls `segment` for every token and every stretch of
    /// text between them.
    pub(super) fn split<'t>(
        &self,
        text: &'t str,
        recognized: &Recognized,
        segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        self.split_with(&self.plain, text, recognized, segment)
    }

    /// Returns true if some tokens are recognized in normalized text only.
    pub(super) fn has_normalized(&self) -> bool {
        !self.normalized.is_empty()
    }

    /// Splits a normalized text at the recognized tokens that are normalized, like [`Self::split`].
    pub(super) fn split_normalized<'t>(
        &self,
        text: &'t str,
        recognized: &Recognized,
        segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        self.split_with(&self.normalized, text, recognized, segment)
    }

    /// Splits at the leftmost and longest tokens, as `AddedVocabulary::find_matches` in `tokenizers`.
    fn split_with<'t>(
        &self,
        finder: &Finder,
        text: &'t str,
        recognized: &Recognized,
        mut segment: impl FnMut(Segment<'t>) -> Result<()>,
    ) -> Result<()> {
        // Start of the text that was not passed on yet.
        let mut start = 0;
        // End of the white space that the last token took up.
        let mut blank_end = 0;
        let mut at = 0;
        while at < text.len() {
            if !text.is_char_boundary(at) {
                at += 1;
                continue;
            }
            let allowed = |index: usize| recognized.includes(&self.tokens[index]);
            let Some((found, index)) = finder.longest(&text[at..], allowed) else {
                at += 1;
                continue;
            };
            let token = &self.tokens[index];
            let mut end = at + found.len();
            let (before, after) = (&text[..at], &text[end..]);
            let is_inside_word = before.ends_with(is_word) || after.starts_with(is_word);
            // White space is looked at once, however many tokens are in it.
            let free = &text[start.min(at)..at];
            let from = if token.lstrip { start.min(at) + free.trim_end().len() } else { at };
            let from = from.max(start);
            at = end;
            if token.single_word && is_inside_word {
                continue;
            }
            if token.rstrip {
                if end >= blank_end {
                    blank_end = text.len() - after.trim_start().len();
                }
                end = blank_end;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn token(content: String, id: usize) -> SpecialToken {
        SpecialToken { content, id: id as u32, special: true, ..SpecialToken::default() }
    }

    #[test]
    fn tokens_in_white_space_take_up_all_of_it() {
        let strip = |lstrip, rstrip| SpecialToken { lstrip, rstrip, ..token("\u{b}".into(), 0) };
        for (lstrip, rstrip) in [(true, false), (false, true), (true, true)] {
            let specials = Specials::new(vec![strip(lstrip, rstrip)]).unwrap();
            let mut left = String::new();
            let mut found = 0;
            let add = |segment: Segment| {
                match segment {
                    Segment::Text(text) => left += text,
                    Segment::Token(_) => found += 1,
                }
                Ok(())
            };
            let text = "a  \u{b}  \u{b}  b";
            specials.split(text, &Recognized::All, add).unwrap();
            assert_eq!(found, 2);
            let expected = match (lstrip, rstrip) {
                (true, false) => "a  b",
                (false, true) => "a  b",
                _ => "ab",
            };
            assert_eq!(left, expected, "{lstrip} {rstrip}");
        }
    }

    #[test]
    fn very_long_tokens_are_refused() {
        let of = |length: usize| Specials::new(vec![token("x".repeat(length), 3)]);
        assert!(of(MAX_CONTENT).is_ok());
        let problem = of(1_000_000).err().unwrap().to_string();
        assert!(problem.contains("the one with id 3 has 1000000 bytes"), "{problem}");
    }
}
