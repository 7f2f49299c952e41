//! Checks prepared data against its manifest.

use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde_json::Value;

use super::checksum::{sha256, sha256_of_file};
use super::journal::WORK;
use crate::data::prepared::{MANIFEST, Manifest, ShardRecord};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Remedy for damaged shards.
const AGAIN: &str = "copy it again, or prepare the data again";

/// Reads the manifest of a folder.
///
/// # Errors
/// It is missing or malformed; a preparation there was not finished.
pub fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Err(Error::MissingFile {
            file: MANIFEST.into(),
            place: folder.display().to_string(),
            remedy: match is_unfinished(folder) {
                true => {
                    "its preparation was not finished: continue it with the same command".into()
                }
                false => "name a folder that `blankslate data prepare` made".into(),
            },
        });
    }
    let bytes = fs::read(&path).map_err(|e| Error::io(&path, e))?;
    Manifest::from_json(&path.display().to_string(), &bytes)
}

/// Returns true for a folder with a manifest of prepared data. Other programs have files of that name, too. One that is no JSON
/// counts, so that its damage is reported.
pub fn is_prepared(folder: &Path) -> bool {
    let Ok(bytes) = fs::read(folder.join(MANIFEST)) else { return false };
    serde_json::from_slice::<Value>(&bytes).ok().is_none_or(|manifest| {
        manifest["program"].as_str().is_some_and(|program| program.starts_with("blankslate "))
    })
}

/// Returns true for a folder with a preparation that was not finished.
pub fn is_unfinished(folder: &Path) -> bool {
    folder.join(WORK).is_dir() && !folder.join(MANIFEST).exists()
}

/// Checks that all shards exist and have the right sizes.
///
/// # Errors
/// Names the first that is missing or has another size.
pub fn check_sizes(folder: &Path, manifest: &Manifest) -> Result<()> {
    for (_, ShardRecord { file, bytes, .. }) in manifest.shards() {
        let path = folder.join(file);
        let found = fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
        if found != *bytes {
            let problem = format!("it has {found} bytes, but the manifest records {bytes}");
            return Err(Error::malformed(path.display().to_string(), problem, AGAIN));
        }
    }
    Ok(())
}

/// Checks the checksums of all shards, on all cores.
///
/// # Errors
/// Names a shard that cannot be read or has another checksum.
pub fn check_contents(folder: &Path, manifest: &Manifest) -> Result<()> {
    let shards: Vec<&ShardRecord> = manifest.shards().map(|(_, shard)| shard).collect();
    shards.into_par_iter().try_for_each(|shard| {
        let path = folder.join(&shard.file);
        if sha256_of_file(&path)? == shard.sha256 {
            return Ok(());
        }
        let problem = "its SHA-256 is not the one in the manifest";
        Err(Error::malformed(path.display().to_string(), problem, AGAIN))
    })
}

/// Checks that a tokenizer is the one that made the tokens.
///
/// # Errors
/// It is another one.
pub fn check_tokenizer(folder: &Path, manifest: &Manifest, tokenizer: &Tokenizer) -> Result<()> {
    let found = sha256(&tokenizer.to_json());
    let expected = &manifest.tokenizer.sha256;
    if found == *expected {
        return Ok(());
    }
    let folder = folder.display();
    Err(Error::config(
        "--tokenizer",
        format!(
            "{folder} was prepared with another tokenizer: that has {} tokens and SHA-256 {}…, this one {} and {}…",
            manifest.tokenizer.vocab_size,
            expected.get(..12).unwrap_or(expected),
            tokenizer.vocab_size(),
            &found[..12],
        ),
        format!("use {folder}/tokenizer.json, or prepare the data again"),
    ))
}
