//! `vocab.json` and `merges.txt`, the files of byte-level BPE before `tokenizer.json`.

use super::broken;
use crate::error::{Error, Result, json_problem};
use crate::tokenizer::spec::END_OF_TEXT;
use crate::tokenizer::{Pattern, Tokenizer, ggml::byte_level};
use serde_json::{Map, Value, json};

impl Tokenizer {
    /// Reads GPT-2's `vocab.json` (token to id) and `merges.txt` (a merge per line), and the special tokens that
    /// `added_tokens.json` adds.
    ///
    /// # Errors
    /// Returns an error if a file is damaged, and the errors of [`Self::from_json`].
    pub fn from_vocab_and_merges(
        vocab: &[u8],
        merges: &[u8],
        added: Option<&[u8]>,
    ) -> Result<Self> {
        let object = |what: &str, bytes: &[u8]| {
            serde_json::from_slice::<Map<String, Value>>(bytes)
                .map_err(|error| broken(format!("{what}: {}", json_problem(&error))))
        };
        let vocab = object("vocab.json", vocab)?;
        let merges = std::str::from_utf8(merges).map_err(|error| Error::NotUtf8 {
            what: "merges.txt".into(),
            offset: error.valid_up_to(),
        })?;
        let is_merge = |line: &&str| !line.is_empty() && !line.starts_with("#version");
        let merges: Vec<&str> = merges.lines().map(str::trim_end).filter(is_merge).collect();
        let mut special = added.map(|bytes| object("added_tokens.json", bytes)).transpose()?;
        if let Some(id) = vocab.get(END_OF_TEXT) {
            special.get_or_insert_default().insert(END_OF_TEXT.into(), id.clone());
        }
        let special = special.into_iter().flatten();
        let added: Vec<Value> = special
            .map(|(content, id)| json!({ "id": id, "content": content, "special": true }))
            .collect();
        let mut file = byte_level(&merges, Pattern::Gpt2);
        file["added_tokens"] = added.into();
        file["model"]["type"] = "BPE".into();
        file["model"]["vocab"] = vocab.into();
        Self::from_json(file.to_string().as_bytes())
    }
}
