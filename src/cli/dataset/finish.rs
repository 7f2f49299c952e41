//! The end of a preparation: the manifest, and a report.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::failure::{CliResult, usage};
use super::super::output::{self, grouped};
use super::inputs::{Identity, STDIN};
use super::journal::{Progress, SplitProgress, Start, WORK};
use super::verify::read_manifest;
use crate::checkpoint::TOKENIZER;
use crate::data::prepared::{MANIFEST, Manifest, SourceRecord, SplitRecord};
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::tokenizer::Tokenizer;

/// Returns true if the folder holds the complete data of the preparation `start`, and removes the temporary files that a kill at
/// its end left.
///
/// # Errors
/// It holds other prepared data; the manifest cannot be read.
pub fn is_finished(out: &Path, start: &Start) -> CliResult<bool> {
    if !out.join(MANIFEST).exists() {
        return Ok(false);
    }
    let manifest = read_manifest(out)?;
    // The size of standard input is not known before it is read.
    let is_same = |(source, input): (&SourceRecord, &Identity)| {
        source.path == input.path && (source.bytes == input.bytes || input.path == STDIN)
    };
    let has_same_inputs = manifest.sources.len() == start.inputs.len()
        && manifest.sources.iter().zip(&start.inputs).all(is_same);
    if manifest.settings != start.settings || !has_same_inputs {
        let problem = format!("{} holds other prepared data", out.display());
        return Err(usage(Error::config("--out", problem, "choose a new folder, or delete it")));
    }
    remove_work(out)?;
    Ok(true)
}

/// Writes the tokenizer and then the manifest, and removes the temporary files.
///
/// # Errors
/// There is no document; the disk is full.
pub async fn finish(
    out: &Path,
    manifest: Manifest,
    progress: &Progress,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let [train, val] = &progress.splits;
    let manifest = Manifest {
        train: record(train),
        val: record(val),
        left_out: progress.left_out,
        sources: progress.sources.clone(),
        ..manifest
    };
    if manifest.shards().next().is_none() {
        return Err(Error::EmptyData { what: "the prepared data".into() });
    }
    let store = Store::open(&out.to_string_lossy()).await?;
    store.write(TOKENIZER, &tokenizer.to_json()).await?;
    store.write(MANIFEST, &manifest.to_json()).await?;
    remove_work(out)
}

fn record(split: &SplitProgress) -> SplitRecord {
    let shards = split.shards.clone();
    SplitRecord {
        documents: shards.iter().map(|shard| shard.documents).sum(),
        tokens: shards.iter().map(|shard| shard.tokens).sum(),
        shards,
    }
}

fn remove_work(out: &Path) -> Result<()> {
    let work = out.join(WORK);
    match fs::remove_dir_all(&work) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(work, e)),
        _ => Ok(()),
    }
}

/// Prints a summary. `time` is the duration of this session; none if everything had been prepared before.
pub fn report(out: &Path, time: Option<Duration>, as_json: bool) -> CliResult<()> {
    let manifest = read_manifest(out)?;
    let Manifest { train, val, left_out, sources, .. } = &manifest;
    let seconds = time.map(|time| time.as_secs_f64());
    if as_json {
        let split = |split: &SplitRecord| json!({"documents": split.documents, "tokens": split.tokens, "shards": split.shards.len()});
        return output::json(&json!({
            "out": out.display().to_string(), "train": split(train), "val": split(val), "left_out": left_out,
            "sources": sources.len(), "seconds": seconds,
        }));
    }
    let describe = |name: &str, split: &SplitRecord| {
        format!(
            "{} {name} tokens of {} documents in {} shards",
            grouped(split.tokens),
            grouped(split.documents),
            split.shards.len(),
        )
    };
    let time = match seconds {
        Some(seconds) => format!("; {seconds:.1} s"),
        None => "; it was complete already".into(),
    };
    let out = out.display();
    output::line(&format!(
        "{out}: {}, {}; left out: {} short documents, {} duplicates{time}",
        describe("training", train),
        describe("validation", val),
        grouped(left_out.short),
        grouped(left_out.duplicates),
    ))
}
