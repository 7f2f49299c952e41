//! `--log-to`: logs the metrics of a run to experiment trackers such as TensorBoard.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::stderr::note;
use super::tensorboard::EventFile;
use crate::error::Result;

/// Destination of the logged metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    folder: PathBuf,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:tensorboard", self.folder.display())
    }
}

/// Parses `DIR` or `DIR:tensorboard`.
///
/// # Errors
/// Another kind of tracker.
pub fn target(text: &str) -> std::result::Result<Target, String> {
    let (folder, kind) = match text.rsplit_once(':') {
        // A colon may be a part of the path, as in `C:\logs`.
        Some((folder, kind)) if !kind.contains(['/', '\\']) => (folder, kind),
        _ => (text, "tensorboard"),
    };
    let import = match kind {
        "tensorboard" if !folder.is_empty() => return Ok(Target { folder: folder.into() }),
        "wandb" => {
            "wandb's offline files have no documented format; log for tensorboard, then `wandb sync DIR`"
        }
        "trackio" => {
            "trackio's database has no documented format; log for tensorboard, then call `trackio.import_tf_events` on it"
        }
        _ => "use DIR or DIR:tensorboard",
    };
    Err(import.into())
}

/// The trackers of a run.
pub struct Trackers(Vec<EventFile>);

impl Trackers {
    /// Opens the trackers of a run that continues after `step`.
    ///
    /// # Errors
    /// A folder cannot be written.
    pub fn open(targets: &[Target], step: u64) -> Result<Self> {
        let open = |target: &Target| EventFile::create(&target.folder, step);
        Ok(Self(targets.iter().map(open).collect::<Result<_>>()?))
    }

    /// Logs every number of an event of `metrics.jsonl` under a tag of a group and its name. A tracker that cannot be written is
    /// abandoned with a note: the run does not depend on it.
    pub fn log(&mut self, event: &Value) {
        if self.0.is_empty() {
            return;
        }
        let step = event["step"].as_u64().unwrap_or(0);
        let to = event["to"].as_u64();
        let values = scalars(event);
        self.keep(|file| {
            to.map_or(Ok(()), |to| file.restart_at(to))?;
            file.scalars(step, &values)
        });
    }

    /// Flushes all trackers, as [`Self::log`].
    pub fn flush(&mut self) {
        self.keep(EventFile::flush);
    }

    /// Keeps the files for which `act` succeeds.
    fn keep(&mut self, mut act: impl FnMut(&mut EventFile) -> Result<()>) {
        self.0.retain_mut(|file| match act(file) {
            Ok(()) => true,
            Err(error) => {
                note(&format!(
                    "--log-to: {error}; nothing more is logged there, training continues"
                ));
                false
            }
        });
    }
}

/// Returns the numbers of an event with their tags.
fn scalars(event: &Value) -> Vec<(String, f64)> {
    let group = match event["type"].as_str() {
        Some("step") => "train",
        Some("eval") => "val",
        Some(other) => other,
        None => return Vec::new(),
    };
    let entries = event.as_object().into_iter().flatten();
    let own = entries.filter(|(key, _)| !["type", "step", "steps", "to"].contains(&key.as_str()));
    own.filter_map(|(key, value)| Some((format!("{group}/{key}"), value.as_f64()?))).collect()
}

/// Returns the folders of the trackers, for the run card.
pub fn folders(targets: &[Target]) -> impl Iterator<Item = &Path> {
    targets.iter().map(|target| target.folder.as_path())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_a_folder_and_a_kind() {
        let folder = |text| target(text).map(|target| target.folder);
        assert_eq!(folder("logs/a"), Ok("logs/a".into()));
        assert_eq!(folder("logs/a:tensorboard"), Ok("logs/a".into()));
        assert_eq!(folder("C:\\logs"), Ok("C:\\logs".into()));
        assert!(folder("logs:wandb").unwrap_err().contains("wandb sync"));
        assert!(folder("logs:trackio").unwrap_err().contains("import_tf_events"));
        assert!(folder("logs:mlflow").unwrap_err().contains("DIR:tensorboard"));
        assert!(folder(":tensorboard").is_err());
    }

    #[test]
    fn events_become_numbers_with_tags() {
        let event = json!({"type": "step", "step": 3, "steps": 9, "loss": 1.5, "grad_norm": null});
        assert_eq!(scalars(&event), [("train/loss".to_string(), 1.5)]);
        let event = json!({"type": "eval", "step": 3, "loss": 2.0, "tokens": 7});
        let expected = [("val/loss".to_string(), 2.0), ("val/tokens".to_string(), 7.0)];
        assert_eq!(scalars(&event), expected);
    }
}
