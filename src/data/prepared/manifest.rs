//! Manifest of prepared data: the contents and the sources of its files.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::TokenWidth;
use super::{Layout, Split};
use crate::error::{Error, Result, json_problem};

/// File name of the manifest. It is written last, so data is complete once it exists.
pub const MANIFEST: &str = "manifest.json";
/// Version of the format.
const FORMAT_VERSION: u32 = 1;

/// Description of a folder of prepared data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format_version: u32,
    /// Program and version that made the data.
    pub program: String,
    /// File layout of the shards.
    pub layout: Layout,
    /// Width of a token.
    pub token_width: TokenWidth,
    /// The tokenizer that made the tokens.
    pub tokenizer: TokenizerRecord,
    /// License of the texts, as given; empty if unknown.
    pub license: String,
    /// Documents to train on.
    pub train: SplitRecord,
    /// Documents to validate on.
    pub val: SplitRecord,
    /// Documents that are in no split.
    pub left_out: LeftOut,
    /// The files that the documents came from, in order.
    pub sources: Vec<SourceRecord>,
    /// Options of the preparation.
    pub settings: Value,
}

/// Identity of a tokenizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerRecord {
    /// Hexadecimal SHA-256 of its `tokenizer.json` as this crate writes it.
    pub sha256: String,
    /// Number of ids.
    pub vocab_size: usize,
    /// Token that ends a document.
    pub end_of_text: u32,
}

/// One split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitRecord {
    /// Number of documents.
    pub documents: u64,
    /// Number of tokens, with one end-of-text token per document.
    pub tokens: u64,
    /// Its files, in order.
    pub shards: Vec<ShardRecord>,
}

/// One file of tokens. Documents never continue in another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// File name in the folder.
    pub file: String,
    /// Number of documents.
    pub documents: u64,
    /// Number of tokens.
    pub tokens: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Hexadecimal SHA-256 of the file.
    pub sha256: String,
}

/// Numbers of documents that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Shorter than the minimum.
    pub short: u64,
    /// Duplicates of an earlier document.
    pub duplicates: u64,
}

/// One file of documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its path as given.
    pub path: String,
    /// Its size, compressed if it is.
    pub bytes: u64,
    /// Hexadecimal SHA-256 of the file.
    pub sha256: String,
    /// Number of documents in it, with those that were left out.
    pub documents: u64,
}

impl Manifest {
    /// Creates the manifest of data without documents.
    pub fn new(layout: Layout, token_width: TokenWidth, tokenizer: TokenizerRecord) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            program: concat!("blankslate ", env!("CARGO_PKG_VERSION")).into(),
            layout,
            token_width,
            tokenizer,
            license: String::new(),
            train: SplitRecord::default(),
            val: SplitRecord::default(),
            left_out: LeftOut::default(),
            sources: Vec::new(),
            settings: Value::Null,
        }
    }

    /// Serializes the manifest as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("plain data serializes");
        bytes.push(b'\n');
        bytes
    }

    /// Parses a manifest. `name` names the file in errors.
    ///
    /// # Errors
    /// It is not JSON of this format and version; the name of a shard points outside the folder.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self> {
        let refused =
            |problem: String| Error::malformed(name, problem, "prepare the data again, or copy it");
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| refused(json_problem(&e)))?;
        if manifest.format_version != FORMAT_VERSION {
            let problem = format!(
                "it has version {}, but this program reads version {FORMAT_VERSION}",
                manifest.format_version
            );
            return Err(refused(problem));
        }
        for (_, shard) in manifest.shards() {
            let file = &shard.file;
            if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', ':']) {
                return Err(refused(format!("`{file}` is not the name of a shard")));
            }
        }
        Ok(manifest)
    }

    /// Returns the record of a split.
    pub fn split(&self, split: Split) -> &SplitRecord {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.val,
        }
    }

    /// Returns all shards with their splits.
    pub fn shards(&self) -> impl Iterator<Item = (Split, &ShardRecord)> {
        Split::ALL
            .into_iter()
            .flat_map(|split| self.split(split).shards.iter().map(move |shard| (split, shard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let tokenizer = TokenizerRecord { sha256: String::new(), vocab_size: 3, end_of_text: 2 };
        let mut manifest = Manifest::new(Layout::Blankslate, TokenWidth::U16, tokenizer);
        manifest.val.shards.push(ShardRecord {
            file: "val-000000.bin".into(),
            documents: 1,
            tokens: 2,
            bytes: 1028,
            sha256: String::new(),
        });
        let read = |manifest: &Manifest| Manifest::from_json("m", &manifest.to_json());
        assert_eq!(read(&manifest).unwrap(), manifest);
        for name in ["../a.bin", "/etc/passwd", "", ".hidden", "c:a"] {
            manifest.val.shards[0].file = name.into();
            assert!(read(&manifest).is_err(), "{name}");
        }
        manifest.val.shards.clear();
        manifest.format_version = 2;
        let problem = read(&manifest).unwrap_err().to_string();
        assert!(problem.contains("version 2"), "{problem}");
    }
}
