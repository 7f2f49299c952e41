//! Training data that the page read from files.

use serde::Serialize;

use crate::error::Result;
use crate::run::data::Examples;
use crate::run::source::DataFormat;

/// The contents of some files as one text.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoundText {
    /// Plain text, or JSON Lines if one of the files holds JSON records.
    pub text: String,
    /// Number and form of the records and the keys that are not used; none for plain text.
    pub records: Option<String>,
}

impl FoundText {
    /// Reads files, given as name and content, as the terminal would.
    ///
    /// # Errors
    /// As [`Examples::add`]; there is no data, or more than one kind.
    pub fn read(files: Vec<(String, String)>) -> Result<Self> {
        let mut examples = Examples::default();
        for (name, content) in files {
            examples.add(&name, content, DataFormat::Auto)?;
        }
        examples.kind("the selection")?;
        let records = examples.has_records().then(|| examples.summary());
        Ok(Self { text: examples.to_text(), records })
    }
}
