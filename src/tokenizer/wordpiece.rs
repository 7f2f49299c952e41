//! WordPiece: splits each word into its longest matching pieces from the left. A word that cannot be split becomes the
//! unknown token. Source: google-research/bert `tokenization.py`, `WordpieceTokenizer`.

use super::bert::BertNormalizer;
use super::bytes_map::BytesMap;

/// Prefix of pieces that continue a word, in trained vocabularies.
pub(super) const PREFIX: &str = "##";
/// BERT's unknown token.
pub(super) const UNKNOWN: &str = "[UNK]";
/// BERT's maximum length of a word; longer words are unknown.
pub(super) const MAX_CHARS: usize = 100;

/// Maximum bytes of a piece of a word: at each character of a word, pieces of every length are looked up.
pub(super) const MAX_PIECE: usize = 1024;

/// Settings of a WordPiece vocabulary.
#[derive(Clone)]
pub(super) struct WordPiece {
    pub(super) normalizer: BertNormalizer,
    pub(super) prefix: String,
    pub(super) unknown: u32,
    pub(super) max_chars: usize,
    /// True if decoding removes spaces before punctuation.
    pub(super) cleanup: bool,
    /// Bytes of the longest token, which bounds the pieces to look up.
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

    /// Returns the bytes of the longest piece that a word can have.
    pub(super) fn longest_piece(&self) -> usize {
        self.longest.min(self.max_chars.saturating_mul(4))
    }

    /// Appends the tokens of a normalized text.
    pub(super) fn encode(&self, vocab: &BytesMap, text: &str, ids: &mut Vec<u32>) {
        let mut key = String::new();
        BertNormalizer::words(text, |word| {
            let before = ids.len();
            let known = word.chars().nth(self.max_chars).is_none()
                && self.encode_word(vocab, word, &mut key, ids);
            if !known {
                ids.truncate(before);
                ids.push(self.unknown);
            }
        });
    }

    /// Appends the pieces of a word. Returns false if it cannot be split into known pieces.
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
            key.push_str(&word[start..floor_boundary(word, start + self.longest_piece())]);
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

    /// Appends the bytes of a token; `first` is true for the first token of a text.
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

/// Returns the largest character boundary up to `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Removes spaces that splitting at punctuation left, with the replacements that `tokenizers` applies to each token, in
/// this order.
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
