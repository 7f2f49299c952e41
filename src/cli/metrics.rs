//! `metrics.jsonl`: one JSON object per line for every step and every evaluation of a run, and for the work of its ranks.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::platform::Store;
use crate::run::directory::METRICS as FILE;

/// The file, open for appending.
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file of the run at `out` to continue after `step`: lines of later steps, which no checkpoint holds, are
    /// dropped.
    ///
    /// # Errors
    /// The directory cannot be written. Training then fails before its first step.
    pub async fn open(store: &Store, out: &str, step: u64) -> Result<Self> {
        let path = Path::new(out).join(FILE);
        fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
        if let Ok(old) = fs::read_to_string(&path) {
            let kept: String =
                old.lines().filter(|line| belongs(line, step)).flat_map(|l| [l, "\n"]).collect();
            if kept != old {
                store.write(FILE, kept.as_bytes()).await?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self { file: file.map_err(|e| Error::io(&path, e))?, path })
    }

    /// Appends one object.
    ///
    /// # Errors
    /// A full disk.
    pub fn append(&mut self, event: &Value) -> Result<()> {
        self.file.write_all(format!("{event}\n").as_bytes()).map_err(|e| Error::io(&self.path, e))
    }
}

/// Returns whether a line is complete and belongs to a step up to `step`.
fn belongs(line: &str, step: u64) -> bool {
    let value: Option<Value> = serde_json::from_str(line).ok();
    value.is_some_and(|value| value["step"].as_u64().is_some_and(|of| (1..=step).contains(&of)))
}
