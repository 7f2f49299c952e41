//! Character classes of the pre-tokenization patterns.
//!
//! `\p{L}` and `\p{N}` are the general categories of Unicode 16 (as in `regex-syntax` 0.8, which tiktoken-rs and
//! `tokenizers` use); `\s` is the property `White_Space`.

use unicode_general_category::{GeneralCategory, get_general_category};

/// Class of a character. The first four are disjoint and cover all characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    /// `[^\s\p{L}\p{N}]`
    Other,
    /// Not a class of characters: a byte of a character outside ASCII.
    Wide,
}

/// Class of every byte, so that ASCII text is scanned without decoding.
static BYTE_CLASS: [Class; 256] = byte_classes();

const fn byte_classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\t'..=b'\r' | b' ' => Class::Space,
            0x80.. => Class::Wide,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
}

/// Returns the class of a character.
fn class_of(c: char) -> Class {
    use GeneralCategory::*;
    match get_general_category(c) {
        UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter => {
            Class::Letter
        }
        DecimalNumber | LetterNumber | OtherNumber => Class::Number,
        _ if c.is_whitespace() => Class::Space,
        _ => Class::Other,
    }
}

/// Returns the class and the length in bytes of the character at byte `at`; `None` at the end of the text.
#[inline]
pub(super) fn class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let byte = *text.as_bytes().get(at)?;
    match BYTE_CLASS[byte as usize] {
        Class::Wide => {
            let c = text[at..].chars().next()?;
            Some((class_of(c), c.len_utf8()))
        }
        class => Some((class, 1)),
    }
}

/// Case of a letter or mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `[\p{Lu}\p{Lt}]`
    Upper,
    /// `\p{Ll}`
    Lower,
    /// `[\p{Lm}\p{Lo}\p{M}]`
    Neither,
}

/// Returns the case and the length in bytes of the letter or mark at byte `at`; `None` if there is none.
#[inline]
pub(super) fn case_at(text: &str, at: usize) -> Option<(Case, usize)> {
    use GeneralCategory::*;
    match *text.as_bytes().get(at)? {
        b'A'..=b'Z' => return Some((Case::Upper, 1)),
        b'a'..=b'z' => return Some((Case::Lower, 1)),
        ..0x80 => return None,
        _ => {}
    }
    let c = text[at..].chars().next()?;
    let case = match get_general_category(c) {
        UppercaseLetter | TitlecaseLetter => Case::Upper,
        LowercaseLetter => Case::Lower,
        ModifierLetter | OtherLetter | NonspacingMark | SpacingMark | EnclosingMark => {
            Case::Neither
        }
        _ => return None,
    };
    Some((case, c.len_utf8()))
}

/// Returns the end of the (possibly empty) run of characters of `class` that starts at byte `at`.
#[inline]
pub(super) fn run_end(text: &str, mut at: usize, class: Class) -> usize {
    let bytes = text.as_bytes();
    loop {
        while at < bytes.len() && BYTE_CLASS[bytes[at] as usize] == class {
            at += 1;
        }
        if at == bytes.len() || bytes[at] < 0x80 {
            return at;
        }
        match class_at(text, at) {
            Some((found, length)) if found == class => at += length,
            _ => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ascii_table_agrees_with_the_general_categories() {
        for byte in 0..128u8 {
            assert_eq!(BYTE_CLASS[byte as usize], class_of(byte as char), "byte {byte}");
        }
    }
}
