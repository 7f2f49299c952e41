//! Files of the file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, Operation, parent};
use crate::error::{Error, Result};

/// Files in one directory and below. Empty parts of a path do not count, so that `/name` is a file in the directory itself.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    disk: Disk,
}

impl Store {
    /// Opens the directory `root`, which is created on the first write.
    pub async fn open(root: &str) -> Result<Self> {
        Ok(Self { root: root.into(), disk: Disk::default() })
    }

    /// Creates the directory, if it does not exist, and makes its name durable.
    pub async fn create(&self) -> Result<()> {
        self.disk.create_dir_all(&self.root).map_err(|e| Error::io(&self.root, e))
    }

    /// Calls `probe` before every operation that changes the file system. An error takes the place of the operation, so that
    /// tests can simulate crashes and failing disks.
    pub fn with_probe(
        self,
        probe: impl Fn(Operation, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { disk: Disk::probed(Arc::new(probe)), ..self }
    }

    /// Reads a file.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.path(path);
        fs::read(&path).map_err(|e| Error::io(path, e))
    }

    /// Writes a file atomically: after an interruption it has either its old or its new content.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(path);
        let directory = parent(&path);
        self.disk.create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
        let temporary = temporary(&path);
        let written = || -> io::Result<()> {
            self.disk.write(&temporary, bytes)?;
            self.disk.rename(&temporary, &path)?;
            self.disk.sync_dir(directory)
        };
        written().map_err(|e| {
            // A partial file must not occupy the space that was missing.
            let _ = self.disk.remove(&temporary);
            Error::io(&path, e)
        })
    }

    /// Returns the sorted names in a directory, without the temporary files of writes; empty if it does not exist.
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let is_temporary = |name: &String| name.starts_with('.') && name.ends_with(TEMPORARY);
        let mut names = self.names(path)?;
        names.retain(|name| !is_temporary(name));
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the size in bytes of all files in a directory and below; 0 if it does not exist.
    pub async fn size(&self, path: &str) -> Result<u64> {
        let path = self.path(path);
        match size_of(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
            size => Ok(size.unwrap_or(0)),
        }
    }

    /// Removes a file, or a directory recursively. Does nothing if it does not exist.
    pub async fn remove(&self, path: &str) -> Result<()> {
        let path = self.path(path);
        self.disk.remove(&path).map_err(|e| Error::io(path, e))
    }

    /// Atomically makes the file `from` available as `to`: as a hard link if the file system supports it, else as a copy.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let from = self.path(from);
        let path = self.path(to);
        let temporary = temporary(&path);
        // A link cannot replace a file.
        let _ = self.disk.remove(&temporary);
        let linked = self.disk.hard_link(&from, &temporary).is_ok()
            && self.disk.rename(&temporary, &path).is_ok();
        // Renaming onto another link to the same file does nothing and leaves the temporary link.
        let _ = self.disk.remove(&temporary);
        if linked {
            let directory = parent(&path);
            return self.disk.sync_dir(directory).map_err(|e| Error::io(directory, e));
        }
        let bytes = fs::read(&from).map_err(|e| Error::io(&from, e))?;
        self.write(to, &bytes).await
    }

    /// Removes what interrupted writes to the files `names` left in a directory. No other process may be writing there.
    pub async fn remove_temporary(&self, directory: &str, names: &[&str]) -> Result<()> {
        for name in self.names(directory)? {
            if names.iter().any(|of| is_temporary_of(&name, of)) {
                self.remove(&format!("{directory}/{name}")).await?;
            }
        }
        Ok(())
    }

    fn path(&self, path: &str) -> PathBuf {
        let mut whole = self.root.clone();
        whole.extend(path.split('/').filter(|part| !part.is_empty()));
        whole
    }

    fn names(&self, directory: &str) -> Result<Vec<String>> {
        let path = self.path(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(path, e)),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}

/// Ending of temporary files.
const TEMPORARY: &str = ".tmp";

/// Returns the name under which a file is written before it is renamed: `.NAME.PROCESS.tmp`.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!(".{name}.{}{TEMPORARY}", std::process::id()))
}

/// Returns true if `name` is a temporary file of `of`, by any process. Earlier versions named links `STEM.PROCESS.tmp`.
fn is_temporary_of(name: &str, of: &str) -> bool {
    let stem = of.rsplit_once('.').map_or(of, |(stem, _)| stem);
    let process = |start: &str| name.strip_prefix(start)?.strip_suffix(TEMPORARY);
    let mut found = [process(&format!(".{of}.")), process(&format!("{stem}."))].into_iter();
    found.any(|id| id.is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_digit())))
}

fn size_of(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum()
    } else {
        Ok(metadata.len())
    }
}

#[cfg(test)]
mod tests {
    use super::is_temporary_of;

    #[test]
    fn only_temporary_files_of_the_name_are_found() {
        for name in [".model.safetensors.12.tmp", "model.12.tmp"] {
            assert!(is_temporary_of(name, "model.safetensors"), "{name}");
        }
        for name in
            ["model.safetensors", "model.tmp", "model..tmp", "model.a1.tmp", ".other.json.1.tmp"]
        {
            assert!(!is_temporary_of(name, "model.safetensors"), "{name}");
        }
    }
}
