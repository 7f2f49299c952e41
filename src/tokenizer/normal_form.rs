//! Unicode normalization forms.

use serde_json::{Value, json};
use std::borrow::Cow;
use unicode_normalization::{
    IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick, is_nfkd_quick,
};

/// A normalization form, as a normalizer of `tokenizer.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NormalForm {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

/// All forms with the names of their types in the file.
const NAMES: [(&str, NormalForm); 4] = [
    ("NFC", NormalForm::Nfc),
    ("NFD", NormalForm::Nfd),
    ("NFKC", NormalForm::Nfkc),
    ("NFKD", NormalForm::Nfkd),
];

impl NormalForm {
    /// Reads a normalizer; none if it is of another type.
    pub(super) fn from_json(normalizer: &Value) -> Option<Self> {
        let kind = normalizer["type"].as_str()?;
        NAMES.iter().find(|(name, _)| *name == kind).map(|(_, form)| *form)
    }

    /// Writes the normalizer.
    pub(super) fn to_json(self) -> Value {
        let name = NAMES.iter().find(|(_, form)| *form == self).map(|(name, _)| name);
        json!({ "type": name })
    }

    /// Normalizes a text.
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        let is_normal = match self {
            Self::Nfc => is_nfc_quick(text.chars()),
            Self::Nfd => is_nfd_quick(text.chars()),
            Self::Nfkc => is_nfkc_quick(text.chars()),
            Self::Nfkd => is_nfkd_quick(text.chars()),
        };
        if text.is_ascii() || is_normal == IsNormalized::Yes {
            return text.into();
        }
        match self {
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Nfkd => text.nfkd().collect(),
        }
    }
}
