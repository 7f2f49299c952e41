//! `tokenizer_config.json`, which `AutoTokenizer.from_pretrained` reads beside `tokenizer.json`.

use serde_json::{Value, json};

use super::chat::supports_chat;
use crate::config::ModelConfig;
use crate::tokenizer::{CHAT_TEMPLATE, MESSAGE_START, Tokenizer};

/// Key of the chat template.
const TEMPLATE_KEY: &str = "chat_template";

/// Returns true if `tokenizer_config.json` has a chat template with this program's chat tokens.
pub fn has_chat_template(tokenizer_config: &[u8]) -> bool {
    let config: Option<Value> = serde_json::from_slice(tokenizer_config).ok();
    let template = config.as_ref().and_then(|config| config[TEMPLATE_KEY].as_str());
    template.is_some_and(|template| template.contains(MESSAGE_START))
}

/// Writes `tokenizer_config.json`.
pub(super) fn tokenizer_config(c: &ModelConfig, tokenizer: &Tokenizer) -> Vec<u8> {
    let special = |id: Option<u32>| {
        let found = tokenizer.special_tokens().find(|(_, special)| Some(*special) == id);
        found.map(|(token, _)| token.to_string())
    };
    let mut value = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": c.max_position_embeddings,
        "bos_token": special(c.bos_token_id),
        "eos_token": special(c.eos_token_id.first()),
        "clean_up_tokenization_spaces": false,
    });
    if supports_chat(c, tokenizer) {
        value[TEMPLATE_KEY] = CHAT_TEMPLATE.into();
    }
    let mut bytes = serde_json::to_vec_pretty(&value).expect("JSON values serialize");
    bytes.push(b'\n');
    bytes
}
