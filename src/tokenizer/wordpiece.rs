//! WordPiece: each word is cut into the longest known pieces from the left; a word that cannot be
//! cut is one unknown token. Source: google-research/bert `tokenization.py`, `WordpieceTokenizer`.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;

/// What a piece that continues a word begins with, in vocabularies made here.
pub(super) const PREFIX: &str = "##";
/// BERT's name for a word without pieces.
pub(super) const UNKNOWN: &str = "[UNK]";
/// BERT's limit: a longer word is unknown.
pub(super) const MAX_CHARS: usize = 100;

/// The settings of a WordPiece vocabulary.
#[derive(Clone)]
pub(super) struct WordPiece {
    pub(super) normalizer: BertNormalizer,
    pub(super) prefix: String,
    pub(super) unknown: u32,
    pub(super) max_chars: usize,
    /// Whether decoding takes away the spaces before punctuation.
    pub(super) cleanup: bool,
    /// Bytes of the longest token: no longer piece needs looking up.
    longest: usize,
}

impl WordPiece {
    pub(super) fn new(
        vocab: &BytesMap,
        normalizer: BertNormalizer,
        prefix: String,
        unknown: u32,
        max_chars: usize,
        cleanup: bool,
    ) -> Self {
        let longest = vocab.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        Self { normalizer, prefix, unknown, max_chars, cleanup, longest }
    }

    /// Appends the tokens of a text.
    pub(super) fn encode(&self, vocab: &BytesMap, text: &str, ids: &mut Vec<u32>) {
        let mut key = String::new();
        self.normalizer.words(text, |word| {
            let before = ids.len();
            let known = word.chars().nth(self.max_chars).is_none()
                && self.encode_word(vocab, word, &mut key, ids);
            if !known {
                ids.truncate(before);
                ids.push(self.unknown);
            }
        });
    }

    /// Whether the word could be cut into known pieces.
    fn encode_word(
        &self,
        vocab: &BytesMap,
        word: &str,
        key: &mut String,
        ids: &mut Vec<u32>,
    ) -> bool {
        let mut start = 0;
        while start < word.len() {
            key.clear();
            if start > 0 {
                key.push_str(&self.prefix);
            }
            let prefix = key.len();
            key.push_str(&word[start..floor_boundary(word, start + self.longest)]);
            let mut end = key.len();
            let found = loop {
                if end == prefix {
                    return false;
                }
                if let Some(id) = vocab.find(&key.as_bytes()[..end]) {
                    break id;
                }
                end = floor_boundary(key, end - 1);
            };
            ids.push(found);
            start += end - prefix;
        }
        true
    }

    /// Appends the text of a token: `first` in its text, or after others.
    pub(super) fn decode(&self, token: &[u8], first: bool, out: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(token);
        let text = match text.strip_prefix(&self.prefix) {
            _ if first => text.into_owned(),
            Some(rest) => rest.to_owned(),
            None => format!(" {text}"),
        };
        out.extend_from_slice(if self.cleanup { clean_up(text) } else { text }.as_bytes());
    }
}

/// The largest character boundary not after `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Undoes the spaces that cutting at punctuation leaves: the replacements of `tokenizers`, which
/// it applies to every token by itself, in this order.
fn clean_up(mut text: String) -> String {
    const RULES: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    for (from, to) in RULES {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    text
}
