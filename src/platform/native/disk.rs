//! All operations that change the file system for a [`Store`](super::Store), in one place, so that a test can make each
//! of them fail.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// An operation that changes the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates a directory and its parents.
    CreateDir,
    /// Creates an empty file.
    Create,
    /// Writes the content of a file.
    Write,
    /// Makes a file, or the names in a directory, durable.
    Sync,
    /// Renames a file over another.
    Rename,
    /// Creates a hard link.
    Link,
    /// Removes a file or a directory.
    Remove,
}

/// Called before an operation. An error takes the place of the operation.
pub(super) type Probe = dyn Fn(Operation, &Path) -> io::Result<()> + Send + Sync;

/// The file system.
#[derive(Clone, Default)]
pub(super) struct Disk {
    probe: Option<Arc<Probe>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub fn probed(probe: Arc<Probe>) -> Self {
        Self { probe: Some(probe) }
    }

    /// Creates a directory and its parents, and makes their names durable.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
        let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.before(Operation::CreateDir, path)?;
        fs::create_dir_all(path)?;
        missing.into_iter().try_for_each(|created| self.sync_dir(parent(created)))
    }

    /// Creates or truncates a file, writes it and makes its content durable.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.before(Operation::Create, path)?;
        let mut file = File::create(path)?;
        self.before(Operation::Write, path)?;
        file.write_all(bytes)?;
        self.before(Operation::Sync, path)?;
        file.sync_all()
    }

    /// Makes creations, renamings and removals in a directory durable. Windows, where directories cannot be opened, needs no
    /// such call.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.before(Operation::Sync, path)?;
        File::open(path).map_or(Ok(()), |directory| directory.sync_all())
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Rename, to)?;
        fs::rename(from, to)
    }

    pub fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Link, to)?;
        fs::hard_link(from, to)
    }

    /// Removes a file, or a directory recursively. Does nothing if it does not exist.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let is_dir = match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?.is_dir(),
        };
        self.before(Operation::Remove, path)?;
        match if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe(operation, path))
    }
}

/// Returns the directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
