//! The lock of a run's directory: one process trains there at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::stderr::note;
use crate::error::{Error, Result};
use crate::platform::Store;

/// Name of the locked file. It contains the number of the process.
const FILE: &str = ".lock";

/// A locked directory. The system releases the lock when the process ends, however it ends.
pub struct Lock {
    path: PathBuf,
    /// None if the file system has no locks.
    file: Option<File>,
    /// Directories that were created for it, which are removed if nothing else is in them at the end.
    created: Vec<PathBuf>,
}

impl Lock {
    /// Creates the directory `out` if necessary, and locks it.
    ///
    /// # Errors
    /// Another process has locked it; it cannot be written.
    pub async fn acquire(out: &str) -> Result<Self> {
        let folder = Path::new(out);
        if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::io(out, io::ErrorKind::NotADirectory.into()));
        }
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let created = folder.ancestors().take_while(is_missing).map(PathBuf::from).collect();
        Store::open(out).await?.create().await?;
        let mut lock = Self { path: folder.join(FILE), file: None, created };
        loop {
            let mut options = OpenOptions::new();
            let opened =
                options.read(true).write(true).create(true).truncate(false).open(&lock.path);
            let mut file = opened.map_err(|e| Error::io(&lock.path, e))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use(out, &lock.path)),
                Err(TryLockError::Error(error)) => {
                    note(&format!(
                        "{out} cannot be locked ({error}): make sure that no other process trains there"
                    ));
                    return Ok(lock);
                }
            }
            let id = process::id().to_string();
            let written = file.set_len(0).and_then(|()| file.write_all(id.as_bytes()));
            written.map_err(|e| Error::io(&lock.path, e))?;
            // Another process may have removed the file between opening and locking; then the lock is of no use. Windows does
            // not let a locked file be read.
            let is_ours = match fs::read_to_string(&lock.path) {
                Ok(found) => found == id,
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            };
            if is_ours {
                lock.file = Some(file);
                return Ok(lock);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Still locked: nobody else can hold a lock on the same file.
            let _ = fs::remove_file(&self.path);
        }
        for folder in &self.created {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn in_use(out: &str, path: &Path) -> Error {
    let found = fs::read_to_string(path).unwrap_or_default();
    let process = match found.trim() {
        "" => "another process".into(),
        id => format!("process {id}"),
    };
    let problem = format!("{process} is training in {out}");
    Error::config("--out", problem, "wait until it ends, stop it, or choose another --out")
}
