//! `metrics.jsonl`: one JSON object per line for every step and every evaluation of a run, and for the work of its ranks.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::curve::Curve;
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::run::directory::METRICS as FILE;

/// The file, open for appending.
pub struct Metrics {
    path: PathBuf,
    file: File,
    curve: Curve,
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
        let mut curve = Curve::default();
        if let Ok(old) = fs::read_to_string(&path) {
            let mut kept = String::new();
            for line in old.lines() {
                if let Some(event) = belonging(line, step) {
                    curve.add(&event);
                    kept.extend([line, "\n"]);
                }
            }
            if kept != old {
                store.write(FILE, kept.as_bytes()).await?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self { file: file.map_err(|e| Error::io(&path, e))?, path, curve })
    }

    /// Returns the losses so far, thinned out.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// Appends one object.
    ///
    /// # Errors
    /// A full disk.
    pub fn append(&mut self, event: &Value) -> Result<()> {
        self.curve.add(event);
        self.file.write_all(format!("{event}\n").as_bytes()).map_err(|e| Error::io(&self.path, e))
    }
}

/// Returns the event of a line if it is complete and belongs to a step up to `step`.
fn belonging(line: &str, step: u64) -> Option<Value> {
    let event: Value = serde_json::from_str(line).ok()?;
    // A return to a checkpoint belongs to the steps after that checkpoint.
    let of = event["to"].as_u64().map(|to| to + 1).or(event["step"].as_u64());
    of.is_some_and(|of| (1..=step).contains(&of)).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::belonging;

    #[test]
    fn a_return_to_a_checkpoint_is_kept_with_the_steps_after_it() {
        let line = r#"{"type":"spike","step":150,"to":100}"#;
        assert!(belonging(line, 120).is_some());
        assert!(belonging(line, 100).is_none());
        assert!(belonging(r#"{"type":"step","step":120}"#, 120).is_some());
        assert!(belonging(r#"{"type":"step","step":121}"#, 120).is_none());
        assert!(belonging(r#"{"type":"step","st"#, 120).is_none());
    }
}
