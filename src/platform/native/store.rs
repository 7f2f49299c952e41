//! Files of the file system.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Files in one directory and below.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the directory `root`, which is created on the first write.
    pub async fn open(root: &str) -> Result<Self> {
        Ok(Self { root: root.into() })
    }

    /// Reads a file.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.root.join(path);
        fs::read(&path).map_err(|e| Error::io(path, e))
    }

    /// Writes a file atomically: after an interruption it has either its old or its new content.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(path);
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(|e| Error::io(directory, e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
        let written = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            // Makes the renaming durable as well. Windows, where directories cannot be opened, needs no such call.
            File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
        };
        written().map_err(|e| {
            // A partial file must not occupy the space that was missing.
            let _ = fs::remove_file(&temporary);
            Error::io(&path, e)
        })
    }

    /// Returns the sorted names in a directory; empty if it does not exist.
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let path = self.root.join(path);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(path, e)),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !(name.starts_with('.') && name.ends_with(".tmp")))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the size in bytes of all files in a directory and below; 0 if it does not exist.
    pub async fn size(&self, path: &str) -> Result<u64> {
        let path = self.root.join(path);
        match size_of(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
            size => Ok(size.unwrap_or(0)),
        }
    }

    /// Removes a file, or a directory recursively. Does nothing if it does not exist.
    pub async fn remove(&self, path: &str) -> Result<()> {
        let path = self.root.join(path);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
            _ => Ok(()),
        }
    }

    /// Atomically makes the file `from` available as `to`: as a hard link if the file system supports it, else as a copy.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let from = self.root.join(from);
        let path = self.root.join(to);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let _ = fs::remove_file(&temporary);
        if fs::hard_link(&from, &temporary).is_ok() && fs::rename(&temporary, &path).is_ok() {
            // Renaming onto another link to the same file does nothing and leaves the temporary link.
            let _ = fs::remove_file(&temporary);
            return Ok(());
        }
        let _ = fs::remove_file(&temporary);
        let bytes = fs::read(&from).map_err(|e| Error::io(&from, e))?;
        self.write(to, &bytes).await
    }
}

fn size_of(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum()
    } else {
        Ok(metadata.len())
    }
}
