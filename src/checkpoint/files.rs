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
/// Settings of the tokenizer for `AutoTokenizer`.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Step, settings and position in the data. Written last: a directory without it is an incomplete checkpoint.
pub const STATE: &str = "training_state.json";
/// Optimizer state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
