//! Reads the files of a checkpoint from its directory.

use super::names::FILES;
use crate::checkpoint::{
    ADAPTER, ADDED_TOKENS, CONFIG, Files, GGUF_EXTENSION, MERGES, PEFT_CONFIG, TOKENIZER, VOCAB,
    WEIGHTS, WEIGHTS_INDEX, is_foreign, is_other_weights, shard_names,
};
use crate::error::Result;
use crate::platform::Store;

/// Lists the files in the directory of a checkpoint, including those of its adapters.
///
/// # Errors
/// Reading fails.
pub async fn files_in(store: &Store, directory: &str) -> Result<Vec<String>> {
    let mut names = store.list(directory).await?;
    if names.iter().any(|name| name == ADAPTER) {
        let inside = store.list(&format!("{directory}/{ADAPTER}")).await?;
        names.extend(inside.into_iter().map(|name| format!("{ADAPTER}/{name}")));
    }
    Ok(names)
}

/// Reads the files of a checkpoint's directory for [`crate::checkpoint::unpack`]. `prefix` is empty or ends in a slash.
///
/// # Errors
/// A file exists but cannot be read.
pub async fn read_checkpoint(store: &Store, prefix: &str) -> Result<Files> {
    read_files(store, prefix, |_| true).await
}

/// [`read_checkpoint`] without those of [`FILES`] that are not `wanted`.
pub(super) async fn read_files(
    store: &Store,
    prefix: &str,
    wanted: fn(&str) -> bool,
) -> Result<Files> {
    let ours = FILES.into_iter().filter(|name| wanted(name));
    let mut wanted: Vec<String> = ours.map(String::from).collect();
    let mut there = files_in(store, prefix.trim_end_matches('/')).await?;
    there.retain(|name| !is_foreign(name));
    let has = |wanted: &str| there.iter().any(|name| name == wanted);
    let mut files = Files::new();
    // Beside a model, or in its place, an adapter is reported.
    wanted.push(PEFT_CONFIG.into());
    if !has(TOKENIZER) {
        wanted.extend([VOCAB, MERGES, ADDED_TOKENS].map(String::from));
    }
    if !has(CONFIG) {
        wanted.extend(there.iter().find(|name| name.ends_with(GGUF_EXTENSION)).cloned());
    }
    if !has(WEIGHTS) && !has(WEIGHTS_INDEX) {
        // Weights in other forms are reported by name; their content does not matter.
        let others = there.iter().filter(|name| is_other_weights(name));
        files.extend(others.map(|name| (name.clone(), Vec::new())));
    }
    if !has(WEIGHTS) && has(WEIGHTS_INDEX) {
        let index = store.read(&format!("{prefix}{WEIGHTS_INDEX}")).await?;
        wanted.extend(shard_names(&index)?);
        files.insert(WEIGHTS_INDEX.into(), index);
    }
    for name in wanted.into_iter().filter(|name| there.contains(name)) {
        let bytes = store.read(&format!("{prefix}{name}")).await?;
        files.insert(name, bytes);
    }
    Ok(files)
}
