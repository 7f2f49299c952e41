//! The data files in a folder, without those of runs that are saved there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::{ADAPTER, STATE};
use crate::error::{Error, Result};
use crate::run::directory::{BEST, CHECKPOINTS, FILES, METRICS, RUN_CARD, step_of};

/// The files below a folder.
#[derive(Default)]
pub struct Folder {
    /// All files in order, except hidden ones and those of runs.
    pub files: Vec<PathBuf>,
    /// Directories of runs.
    pub runs: Vec<PathBuf>,
}

impl Folder {
    /// Lists the files below `folder`. `out` is the directory of the current run, which may not have been saved yet.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn list(folder: &Path, out: Option<&Path>) -> Result<Self> {
        let mut found = Self::default();
        let out = out.and_then(|out| fs::canonicalize(out).ok());
        let is_of_run =
            |folder: &Path| is_run(folder) || out.is_some() && fs::canonicalize(folder).ok() == out;
        let is_run_itself = is_of_run(folder);
        if is_run_itself {
            found.runs.push(folder.into());
        }
        for path in entries(folder)? {
            if !(is_run_itself && belongs_to_run(&path)) {
                found.add(path, &is_of_run)?;
            }
        }
        found.files.sort_unstable();
        found.runs.sort_unstable();
        Ok(found)
    }

    fn add(&mut self, path: PathBuf, is_of_run: &dyn Fn(&Path) -> bool) -> Result<()> {
        let kind = fs::symlink_metadata(&path).map_err(|e| Error::io(&path, e))?;
        // Links to folders are not followed: they may lead back up.
        if !kind.is_dir() {
            if path.is_file() {
                self.files.push(path);
            }
        } else if is_of_run(&path) {
            self.runs.push(path);
        } else {
            for entry in entries(&path)? {
                self.add(entry, is_of_run)?;
            }
        }
        Ok(())
    }
}

/// Returns the paths of the entries of a folder that are not hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Returns true for the directory of a run, or of one of its checkpoints, even if no checkpoint is complete.
fn is_run(folder: &Path) -> bool {
    let has_step = || {
        let mut inside = fs::read_dir(folder.join(CHECKPOINTS)).into_iter().flatten().flatten();
        inside.any(|entry| step_of(&entry.file_name().to_string_lossy()).is_some())
    };
    [STATE, METRICS].iter().any(|name| folder.join(name).is_file()) || has_step()
}

/// Returns true for files and folders that a run has in its directory.
fn belongs_to_run(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FILES.contains(&&*name) || [ADAPTER, BEST, CHECKPOINTS, METRICS, RUN_CARD].contains(&&*name)
}
