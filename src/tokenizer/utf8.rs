//! Bytes that need not be UTF-8, as text.

/// How many U+FFFD stand for bytes that are no UTF-8.
#[derive(Clone, Copy)]
pub(super) enum Marks {
    /// One for the longest beginning of a character, as Unicode recommends (chapter 3, "maximal subparts") and
    /// `tokenizers` has it for byte-level vocabularies.
    PerBeginning,
    /// One for each byte, as sentencepiece has it.
    PerByte,
}

impl Marks {
    /// Appends those for `bytes` of a character that is none.
    pub(super) fn append(self, bytes: usize, text: &mut String) {
        let count = match self {
            Self::PerBeginning => bytes.min(1),
            Self::PerByte => bytes,
        };
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, count));
    }

    /// Appends what `bytes` are, whatever follows them. Returns how many at their end begin a character that is not
    /// complete: at most three.
    pub(super) fn append_text(self, bytes: &[u8], text: &mut String) -> usize {
        let mut rest = bytes;
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]);
                    (valid.expect("it is valid up to there"), Some(error))
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
