//! Locks on names, by the file system's advisory locks.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// Directory of the lock files; no run has a name that starts with a dot.
const LOCKS: &str = ".locks";

/// Lock on a name in storage, held until it is dropped or its process ends, however it ends.
#[derive(Debug)]
pub struct NameLock {
    _file: File,
}

impl NameLock {
    /// Locks `name` below the directory `root`; none if another engine holds the lock.
    ///
    /// # Errors
    /// The lock file cannot be created or locked.
    pub async fn take(root: &str, name: &str) -> Result<Option<Self>> {
        let directory = Path::new(root).join(LOCKS);
        fs::create_dir_all(&directory).map_err(|e| Error::io(&directory, e))?;
        let path = directory.join(name);
        let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
        }
    }
}
