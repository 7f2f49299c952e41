//! Conversion of possibly invalid UTF-8 to text.

/// Rule for replacing invalid UTF-8 by U+FFFD.
#[derive(Clone, Copy)]
pub(super) enum Replacement {
    /// One per truncated character, as Unicode recommends (chapter 3, "maximal subparts") and as `tokenizers` does for
    /// byte-level vocabularies.
    PerSequence,
    /// One per byte, as in SentencePiece.
    PerByte,
}

impl Replacement {
    /// Appends the replacement of `bytes` bytes of a truncated character.
    pub(super) fn append(self, bytes: usize, text: &mut String) {
        let count = match self {
            Self::PerSequence => bytes.min(1),
            Self::PerByte => bytes,
        };
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, count));
    }

    /// Appends the text of `bytes`. Returns the number of bytes, at most three, of an incomplete character at the end, which
    /// is not appended.
    pub(super) fn append_text(self, bytes: &[u8], text: &mut String) -> usize {
        let mut rest = bytes;
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]);
                    (valid.expect("valid up to the error"), Some(error))
                }
            };
            text.push_str(valid);
            rest = &rest[valid.len()..];
            let Some(length) = error.and_then(|error| error.error_len()) else { return rest.len() };
            self.append(length, text);
            rest = &rest[length..];
        }
    }
}
