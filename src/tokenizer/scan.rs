//! Scanners that split text as the published regular expressions do, faster than a regex engine. Comments quote the
//! alternatives of the expressions.

use super::pattern::Pattern;
use super::unicode::{Case, Class, case_at, class_at, run_end};

impl Pattern {
    /// Splits `text` into pieces. Their concatenation is the text.
    pub fn split(self, text: &str) -> impl Iterator<Item = &str> {
        let mut pieces = self.pieces(text);
        std::iter::from_fn(move || {
            let start = pieces.at;
            pieces.next().map(|_| &text[start..pieces.at])
        })
    }

    /// Splits `text` into pieces as bytes.
    pub(super) fn pieces(self, text: &str) -> Pieces<'_> {
        Pieces::new(self, text)
    }
}

/// Iterator over the pieces of a text.
pub(super) struct Pieces<'a> {
    pattern: Pattern,
    text: &'a str,
    /// Position of the next piece, in bytes.
    pub(super) at: usize,
    /// For [`Pattern::SmolLm`]: position of the next digit.
    digit: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(pattern: Pattern, text: &'a str) -> Self {
        Self { pattern, text, at: 0, digit: 0 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (class, length) = class_at(self.text, self.at)?;
        let start = self.at;
        self.at = match self.pattern {
            Pattern::Gpt2 => gpt2_end(self.text, start, class, length),
            Pattern::Cl100k | Pattern::Llama3 | Pattern::Llama3Ascii | Pattern::Qwen2 => {
                cl100k_end(self.text, start, class, length, self.pattern)
            }
            Pattern::O200k => o200k_end(self.text, start, class, length),
            Pattern::SmolLm if class == Class::Number => start + length,
            Pattern::SmolLm => {
                if self.digit <= start {
                    self.digit = next_digit(self.text, start + length);
                }
                gpt2_end(&self.text[..self.digit], start, class, length)
            }
        };
        Some(&self.text.as_bytes()[start..self.at])
    }
}

/// Returns the position of the first `\p{N}` at or after `at`, or the end of the text.
fn next_digit(text: &str, mut at: usize) -> usize {
    while let Some((class, length)) = class_at(text, at) {
        if class == Class::Number {
            break;
        }
        at += length;
    }
    at
}

/// Returns the end of the piece that starts at `at` by GPT-2's pattern.
#[inline]
fn gpt2_end(text: &str, at: usize, class: Class, length: usize) -> usize {
    let bytes = text.as_bytes();
    if bytes[at] == b'\'' {
        match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(b's' | b't' | b'm' | b'd'), _) => return at + 2,
            (Some(b'r' | b'v'), Some(b'e')) | (Some(b'l'), Some(b'l')) => return at + 3,
            _ => {}
        }
    }
    // ` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+`
    if bytes[at] == b' ' {
        if let Some((next, length)) = class_at(text, at + 1)
            && next != Class::Space
        {
            return run_end(text, at + 1 + length, next);
        }
    } else if class != Class::Space {
        return run_end(text, at + length, class);
    }
    spaces_end(text, at, length)
}

/// Returns the end of the piece that starts at `at` by cl100k's, Llama 3's or Qwen 2's `pattern`.
#[inline]
fn cl100k_end(text: &str, at: usize, class: Class, length: usize, pattern: Pattern) -> usize {
    let bytes = text.as_bytes();
    if let Some(end) = contraction_end(bytes, at, pattern != Pattern::Llama3Ascii) {
        return end;
    }
    // `[^\r\n\p{L}\p{N}]?\p{L}+`
    match class {
        Class::Letter => return run_end(text, at + length, Class::Letter),
        Class::Number => {
            let digits = if pattern == Pattern::Qwen2 { 1 } else { 3 };
            return digits_end(text, at + length, digits);
        }
        _ => {}
    }
    let next = class_at(text, at + length);
    if let Some((Class::Letter, letter)) = next
        && !is_line_break(bytes[at])
    {
        return run_end(text, at + length + letter, Class::Letter);
    }
    if let Some(end) = marks_end(text, at, class, length, is_line_break) {
        return end;
    }
    let end = run_end(text, at + length, Class::Space);
    // `\s+$` of tiktoken's current version.
    if pattern == Pattern::Cl100k && end == bytes.len() {
        return end;
    }
    breaks_end(text, at, length, end)
}

/// Returns the end of the piece that starts at `at` by o200k's pattern.
#[inline]
fn o200k_end(text: &str, at: usize, class: Class, length: usize) -> usize {
    let bytes = text.as_bytes();
    if class == Class::Number {
        return digits_end(text, at + length, 3);
    }
    // `[^\r\n\p{L}\p{N}]?`: a mark (`\p{M}`) can be this character or the first of the word.
    let after_prefix = (class != Class::Letter && !is_line_break(bytes[at])).then_some(at + length);
    let words = [after_prefix, Some(at)].map(|start| start.map(|start| word_ends(text, start)));
    let mut words = words.iter().flatten();
    let end =
        words.clone().find_map(|word| word.lower).or_else(|| words.find_map(|word| word.upper));
    if let Some(end) = end {
        return contraction_end(bytes, end, true).unwrap_or(end);
    }
    if let Some(end) =
        marks_end(text, at, class, length, |byte| is_line_break(byte) || byte == b'/')
    {
        return end;
    }
    breaks_end(text, at, length, run_end(text, at + length, Class::Space))
}

/// Ends of a word of o200k's pattern by each of its two alternatives, without prefix and contraction.
struct WordEnds {
    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
    lower: Option<usize>,
    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+`, which matters only where the first does not match, so that no lowercase letter
    /// follows
    upper: Option<usize>,
}

fn word_ends(text: &str, start: usize) -> WordEnds {
    let mut at = start;
    // Without a lowercase letter the regex goes back to the last character that both sets contain.
    let mut lower = None;
    while let Some((case, length)) = case_at(text, at) {
        match case {
            Case::Upper => at += length,
            Case::Neither => {
                at += length;
                lower = Some(at);
            }
            Case::Lower => return WordEnds { lower: Some(lower_end(text, at)), upper: None },
        }
    }
    WordEnds { lower, upper: (at > start).then_some(at) }
}

/// Returns the end of the run `[\p{Ll}\p{Lm}\p{Lo}\p{M}]*` that starts at `at`.
fn lower_end(text: &str, mut at: usize) -> usize {
    while let Some((Case::Lower | Case::Neither, length)) = case_at(text, at) {
        at += length;
    }
    at
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// ` ?[^\s\p{L}\p{N}]+` and the bytes after it that `follows` accepts; `None` if there is no match at `at`.
#[inline]
fn marks_end(
    text: &str,
    at: usize,
    class: Class,
    length: usize,
    follows: impl Fn(u8) -> bool,
) -> Option<usize> {
    let bytes = text.as_bytes();
    let after = match class {
        Class::Other => at + length,
        _ if bytes[at] == b' ' => match class_at(text, at + 1) {
            Some((Class::Other, mark)) => at + 1 + mark,
            _ => return None,
        },
        _ => return None,
    };
    let end = run_end(text, after, Class::Other);
    let rest = bytes[end..].iter().take_while(|byte| follows(**byte)).count();
    Some(end + rest)
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+` for the white space from `at` to `end`: up to its last line break, if it has one.
fn breaks_end(text: &str, at: usize, length: usize, end: usize) -> usize {
    match text.as_bytes()[at..end].iter().rposition(|byte| is_line_break(*byte)) {
        Some(last) => at + last + 1,
        None => give_back_one(text, at, length, end),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`. Unicode case folding, if it `folds`, also maps `ſ` (U+017F) to `s`.
fn contraction_end(bytes: &[u8], at: usize, folds: bool) -> Option<usize> {
    if *bytes.get(at)? != b'\'' {
        return None;
    }
    let first = bytes.get(at + 1)?.to_ascii_lowercase();
    let second = bytes.get(at + 2).map(u8::to_ascii_lowercase);
    match (first, second) {
        (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(at + 3),
        (0xC5, Some(0xBF)) if folds => Some(at + 3),
        _ => None,
    }
}

/// `\p{N}{1,max}` after its first digit.
fn digits_end(text: &str, mut at: usize, max: usize) -> usize {
    for _ in 1..max {
        match class_at(text, at) {
            Some((Class::Number, length)) => at += length,
            _ => break,
        }
    }
    at
}

/// `\s+(?!\S)|\s+` for the run that starts at `at`.
fn spaces_end(text: &str, at: usize, length: usize) -> usize {
    give_back_one(text, at, length, run_end(text, at + length, Class::Space))
}

/// The lookahead of `\s+(?!\S)`: a run of two or more characters leaves the last one to the following word, unless the text
/// ends there. `length` is the length of the run's first character.
fn give_back_one(text: &str, at: usize, length: usize, end: usize) -> usize {
    if end == text.len() || end == at + length {
        return end;
    }
    let mut last = end - 1;
    while !text.is_char_boundary(last) {
        last -= 1;
    }
    last
}
