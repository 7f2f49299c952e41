//! Names of the files in a checkpoint directory.

use std::collections::BTreeMap;

/// Contents of files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Model configuration.
pub const CONFIG: &str = "config.json";
/// Model weights.
pub const WEIGHTS: &str = "model.safetensors";
/// Index of sharded weights: the file of each tensor.
pub const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
/// Tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// Ids of the tokens of byte-level BPE, in models without [`TOKENIZER`].
pub const VOCAB: &str = "vocab.json";
/// Merges of byte-level BPE, beside [`VOCAB`].
pub const MERGES: &str = "merges.txt";
/// Tokens that were added to [`VOCAB`].
pub const ADDED_TOKENS: &str = "added_tokens.json";
/// Settings of the tokenizer for `AutoTokenizer`.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Settings of text generation, among them the tokens that end a text.
pub const GENERATION_CONFIG: &str = "generation_config.json";
/// Special tokens by their use, in older models.
pub const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
/// Chat template.
pub const CHAT_TEMPLATE_FILE: &str = "chat_template.jinja";
/// Step, settings and position in the data. Written last: a directory without it is an incomplete checkpoint.
pub const STATE: &str = "training_state.json";
/// Moving average of the weights, in the layout of [`WEIGHTS`].
pub const AVERAGE: &str = "ema.safetensors";
/// Optimizer state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
