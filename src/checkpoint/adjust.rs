//! Adjusts weights as other programs write them to what the configuration and the architecture say.

use super::layout::{Architecture, layout};
use super::tensors::HostTensors;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Names that wrappers of PyTorch insert before the names of what they wrap, and the wrapper.
const WRAPPERS: [(&str, &str); 4] = [
    ("_orig_mod.", "torch.compile"),
    ("_fsdp_wrapped_module.", "FullyShardedDataParallel"),
    ("_checkpoint_wrapped_module.", "checkpoint_wrapper"),
    ("module.", "DataParallel"),
];
const HEAD: &str = "lm_head.weight";

/// Removes the names of wrappers from those of tensors. Returns a note for each wrapper.
///
/// # Errors
/// Returns an error if two tensors have the same name without it.
pub(super) fn unwrap_names(file: &str, tensors: &mut HostTensors) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (prefix, wrapper) in WRAPPERS {
        let is_wrapped = |name: &str| {
            name.starts_with(prefix) || prefix != "module." && name.contains(&format!(".{prefix}"))
        };
        if !tensors.keys().any(|name| is_wrapped(name)) {
            continue;
        }
        for (name, tensor) in std::mem::take(tensors) {
            let bare = if is_wrapped(&name) { name.replace(prefix, "") } else { name };
            if tensors.insert(bare.clone(), tensor).is_some() {
                let problem = format!("tensor `{bare}` occurs with and without `{prefix}`");
                return Err(Error::malformed(file, problem, "save the model without the wrapper"));
            }
        }
        notes.push(format!("{file}: `{prefix}` of {wrapper} was removed from the tensors' names"));
    }
    Ok(notes)
}

/// Decides by the tensors whether embedding and head are tied. Files can contain a head of their own although their
/// configuration, or the default, says that it is tied; and if both are the same, they can lack either.
pub(super) fn settle_head(
    file: &str,
    config: &mut ModelConfig,
    tensors: &mut HostTensors,
) -> Option<String> {
    if !config.tie_word_embeddings {
        return None;
    }
    let sketch = ModelConfig { num_hidden_layers: 0, ..config.clone() };
    let embedding = layout(&sketch, Architecture::of(config)).into_iter().next()?.name;
    let bare = embedding.split_once('.').map_or(&*embedding, |(_, bare)| bare);
    let found = [&*embedding, bare].into_iter().find(|name| tensors.contains_key(*name));
    let head = tensors.get(HEAD)?;
    match found.map(|name| &tensors[name]) {
        None => {
            let head = head.clone();
            tensors.insert(embedding, head);
            None
        }
        Some(embedding) if embedding == head => None,
        Some(_) => {
            config.tie_word_embeddings = false;
            Some(format!(
                "{file}: the model is opened with its `{HEAD}`, which differs from the token embedding although config.json ties them"
            ))
        }
    }
}

/// Checks that no weight is NaN or infinite.
///
/// # Errors
/// Returns an error that names the first tensor with such a value.
pub(super) fn require_finite(file: &str, tensors: &HostTensors) -> Result<()> {
    let bad = tensors.iter().find_map(|(name, tensor)| {
        let at = tensor.values.iter().position(|value| !value.is_finite())?;
        Some((name, tensor.values[at]))
    });
    let Some((name, value)) = bad else { return Ok(()) };
    Err(Error::malformed(
        file,
        format!("tensor `{name}` contains {value}"),
        "the training that wrote it diverged, or the file is damaged: use an earlier checkpoint or download it again",
    ))
}
