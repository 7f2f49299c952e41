//! Names of the files and directories of a run.

use crate::checkpoint::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, AVERAGE, BASE_WEIGHTS, CHAT_TEMPLATE_FILE, CONFIG,
    GENERATION_CONFIG, OPTIMIZER, SPECIAL_TOKENS_MAP, STATE, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS,
};
use crate::error::{Error, Result};

/// Names of the files of a checkpoint, the state last.
pub const FILES: [&str; 13] = [
    CONFIG,
    WEIGHTS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    GENERATION_CONFIG,
    SPECIAL_TOKENS_MAP,
    CHAT_TEMPLATE_FILE,
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_WEIGHTS,
    AVERAGE,
    OPTIMIZER,
    STATE,
];

/// Directory of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// Step and validation loss of the best checkpoint.
pub const BEST: &str = "best.json";
/// Figures of every step and evaluation, which the terminal writes.
pub const METRICS: &str = "metrics.jsonl";

/// Human-readable description of a run, which the terminal writes.
pub const RUN_CARD: &str = "RUN.md";

/// Returns the name of the directory of the checkpoint of `step`.
pub(super) fn name_of(step: u64) -> String {
    format!("step-{step:08}")
}

/// Returns the step of the checkpoint in the directory `name`, if that is the name of one.
pub fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (name_of(step) == name).then_some(step)
}

/// Returns true for the files with which transformers opens a model, as opposed to those that only training needs.
pub(super) fn is_model_file(name: &str) -> bool {
    let of_training = [ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_WEIGHTS, AVERAGE, OPTIMIZER, STATE];
    FILES.contains(&name) && !of_training.contains(&name)
}

/// Returns an error unless `name` can be the name of a run in every store.
pub fn valid_name(name: &str) -> Result<()> {
    let fits = (1..=80).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '));
    if !fits {
        let problem = format!("`{name}` cannot be the name of a run");
        let remedy = "use up to 80 letters, digits, spaces, dots, dashes and underscores";
        return Err(Error::config("name", problem, remedy));
    }
    Ok(())
}
