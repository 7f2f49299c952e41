//! Files of transformers that accompany a model and that this program mostly passes on: fine-tuning a model and saving it
//! keeps its chat template, its pad token and its generation settings.

use serde_json::{Map, Value, json};

use super::files::{
    CHAT_TEMPLATE_FILE, CONFIG, Files, GENERATION_CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG,
};
use crate::config::EndTokens;
use crate::error::{Error, Result, json_problem};
use crate::tokenizer::CHAT_TEMPLATE;

/// Notice for a chat with a model that has another chat template.
pub const OTHER_TEMPLATE: &str = "the model's own chat template is not used: messages are written as ChatML, which the model may not know";

const TEMPLATE: &str = "chat_template";
const END: &str = "eos_token";
const ENDS: &str = "eos_token_id";
const PAD: &str = "pad_token_id";
/// Class that reads `tokenizer.json` as it is; a model's own class could change it.
const TOKENIZER_CLASS: &str = "tokenizer_class";

/// The files that accompany a model, as JSON objects.
#[derive(Clone, Debug, Default)]
pub struct Companions {
    generation_config: Option<Map<String, Value>>,
    tokenizer_config: Option<Map<String, Value>>,
    special_tokens_map: Option<Map<String, Value>>,
    /// Chat template in a file of its own, which counts before that of `tokenizer_config.json`.
    template_file: Option<Vec<u8>>,
    /// Token that fills the end of short texts in a batch, from `config.json`.
    pad_token_id: Option<Value>,
}

impl Companions {
    /// Takes the files out; reads the pad token from `config`, the contents of `config.json`.
    ///
    /// # Errors
    /// Returns an error if a file is not a JSON object.
    pub(super) fn take(files: &mut Files, config: &[u8]) -> Result<Self> {
        let mut object = |file: &str| -> Result<Option<Map<String, Value>>> {
            let remedy = "download it again, or remove it";
            let read = |bytes: Vec<u8>| {
                serde_json::from_slice(&bytes)
                    .map_err(|e| Error::malformed(file, json_problem(&e), remedy))
            };
            files.remove(file).map(read).transpose()
        };
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        Ok(Self {
            generation_config: object(GENERATION_CONFIG)?,
            tokenizer_config: object(TOKENIZER_CONFIG)?,
            special_tokens_map: object(SPECIAL_TOKENS_MAP)?,
            template_file: files.remove(CHAT_TEMPLATE_FILE),
            pad_token_id: config.get(PAD).filter(|id| !id.is_null()).cloned(),
        })
    }

    /// Returns the companions of a model whose file has a chat template and a pad token in a form of its own.
    pub(super) fn of_file(template: Option<&str>, pad_token_id: Option<u32>) -> Self {
        let config = template.map(|template| Map::from_iter([(TEMPLATE.into(), template.into())]));
        let pad_token_id = pad_token_id.map(Value::from);
        Self { tokenizer_config: config, pad_token_id, ..Self::default() }
    }

    /// Returns the tokens that end a text according to `generation_config.json`, which counts before `config.json`.
    pub(super) fn end_tokens(&self, vocab_size: usize) -> Option<EndTokens> {
        let ends = token_ids(self.generation_config.as_ref()?.get(ENDS)?, vocab_size);
        (!ends.ids().is_empty()).then_some(ends)
    }

    /// Returns true if the model has a chat template other than the one of this program.
    pub fn has_other_template(&self) -> bool {
        let inline = self.tokenizer_config.as_ref().and_then(|config| config.get(TEMPLATE));
        let other = inline.is_some_and(|value| !value.is_null() && *value != CHAT_TEMPLATE);
        other || self.template_file.as_ref().is_some_and(|file| file != CHAT_TEMPLATE.as_bytes())
    }

    /// Drops the chat template and the end token, which training on conversations replaces.
    pub(crate) fn replace_template(&mut self) {
        self.template_file = None;
        for file in [&mut self.tokenizer_config, &mut self.special_tokens_map].into_iter().flatten()
        {
            file.remove(TEMPLATE);
            file.remove(END);
        }
    }

    /// Adds the files to those of a checkpoint. What both have, except the tokenizer's class, is as in the original model.
    pub(crate) fn add_to(&self, files: &mut Files, ends: &EndTokens) {
        let mut change = |file: &str, act: &dyn Fn(&mut Map<String, Value>)| {
            let found = files.get(file).and_then(|bytes| serde_json::from_slice(bytes).ok());
            let mut object: Map<String, Value> = found.unwrap_or_default();
            act(&mut object);
            let mut bytes = serde_json::to_vec_pretty(&object).expect("JSON values serialize");
            bytes.push(b'\n');
            files.insert(file.into(), bytes);
        };
        if let Some(id) = &self.pad_token_id {
            change(CONFIG, &|config| drop(config.insert(PAD.into(), id.clone())));
        }
        if let Some(theirs) = &self.generation_config {
            change(GENERATION_CONFIG, &|config| {
                config.extend(theirs.clone());
                config.insert(ENDS.into(), json!(ends));
            });
        }
        if let Some(theirs) = &self.tokenizer_config {
            change(TOKENIZER_CONFIG, &|config| {
                let mut theirs = theirs.clone();
                theirs.remove(TOKENIZER_CLASS);
                if self.template_file.is_some() {
                    config.remove(TEMPLATE);
                }
                config.extend(theirs);
            });
        }
        if let Some(theirs) = &self.special_tokens_map {
            change(SPECIAL_TOKENS_MAP, &|map| map.extend(theirs.clone()));
        }
        if let Some(template) = &self.template_file {
            files.insert(CHAT_TEMPLATE_FILE.into(), template.clone());
        }
    }
}

/// Reads a token id or a list of ids. Ids outside the vocabulary, which small configurations inherit from a larger
/// model's defaults, count as none.
pub(super) fn token_ids(value: &Value, vocab_size: usize) -> EndTokens {
    let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let known = ids.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok());
    known.filter(|id| (*id as usize) < vocab_size).collect()
}
