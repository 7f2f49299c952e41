//! Files of the browser's origin-private file system.

use std::io;

use js_sys::{AsyncIterator, IteratorNext, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DedicatedWorkerGlobalScope, DomException, File, FileSystemDirectoryHandle,
    FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemRemoveOptions, FileSystemWritableFileStream,
};

use crate::error::{Error, Result};

/// Files in one directory of the origin-private file system and below.
#[derive(Clone, Debug)]
pub struct Store {
    root: String,
}

impl Store {
    /// Opens the directory `root`, which is created on the first write.
    pub async fn open(root: &str) -> Result<Self> {
        Ok(Self { root: root.into() })
    }

    /// Reads a file.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let (directory, name) = self.directory_of(path, false).await?;
        let read = async {
            let handle: FileSystemFileHandle = wait(directory.get_file_handle(name)).await?;
            let file: File = wait(handle.get_file()).await?;
            let buffer: JsValue = wait(file.array_buffer()).await?;
            Ok(Uint8Array::new(&buffer).to_vec())
        };
        read.await.map_err(|e| self.failed(path, &e))
    }

    /// Atomically makes the file `from` available as `to`: as a copy, since the browser's file system has no links.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        self.write(to, &self.read(from).await?).await
    }

    /// Does nothing in the browser, which removes what interrupted writes left.
    pub async fn remove_temporary(&self, _directory: &str, _names: &[&str]) -> Result<()> {
        Ok(())
    }

    /// Writes a file atomically: after an interruption it has either its old or its new content.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (directory, name) = self.directory_of(path, true).await?;
        let write = async {
            let create = FileSystemGetFileOptions::new();
            create.set_create(true);
            let handle: FileSystemFileHandle =
                wait(directory.get_file_handle_with_options(name, &create)).await?;
            // The stream writes to a copy, which replaces the file on close.
            let stream: FileSystemWritableFileStream = wait(handle.create_writable()).await?;
            let copy = Uint8Array::from(bytes);
            let _: JsValue = wait(stream.write_with_js_u8_array(&copy)?).await?;
            let _: JsValue = wait(stream.close()).await?;
            Ok(())
        };
        write.await.map_err(|e| self.failed(path, &e))
    }

    /// Returns the sorted names in a directory; empty if it does not exist.
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let list = async {
            let directory = match self.directory(path, false).await {
                Ok(directory) => directory,
                Err(e) if kind_of(&e) == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(e) => return Err(e),
            };
            let keys = collect(directory.keys().unchecked_into()).await?;
            let mut names: Vec<String> = keys.iter().filter_map(JsValue::as_string).collect();
            names.sort_unstable();
            Ok(names)
        };
        list.await.map_err(|e| self.failed(path, &e))
    }

    /// Returns the size in bytes of all files in a directory and below; 0 if it does not exist.
    pub async fn size(&self, path: &str) -> Result<u64> {
        let size = async {
            let mut folders = match self.directory(path, false).await {
                Err(e) if kind_of(&e) == io::ErrorKind::NotFound => Vec::new(),
                found => vec![found?],
            };
            let mut bytes = 0;
            while let Some(folder) = folders.pop() {
                for entry in collect(folder.values().unchecked_into()).await? {
                    match entry.dyn_into::<FileSystemDirectoryHandle>() {
                        Ok(inside) => folders.push(inside),
                        Err(file) => {
                            let handle: FileSystemFileHandle = file.unchecked_into();
                            let file: File = wait(handle.get_file()).await?;
                            bytes += file.size() as u64;
                        }
                    }
                }
            }
            Ok(bytes)
        };
        size.await.map_err(|e| self.failed(path, &e))
    }

    /// Removes a file, or a directory recursively. Does nothing if it does not exist.
    pub async fn remove(&self, path: &str) -> Result<()> {
        let remove = async {
            let (parent, name) = split(path);
            let directory = self.directory(parent, false).await?;
            let options = FileSystemRemoveOptions::new();
            options.set_recursive(true);
            let _: JsValue = wait(directory.remove_entry_with_options(name, &options)).await?;
            Ok(())
        };
        match remove.await {
            Err(e) if kind_of(&e) != io::ErrorKind::NotFound => Err(self.failed(path, &e)),
            _ => Ok(()),
        }
    }

    async fn directory_of<'a>(
        &self,
        path: &'a str,
        create: bool,
    ) -> Result<(FileSystemDirectoryHandle, &'a str)> {
        let (parent, name) = split(path);
        let directory = self.directory(parent, create).await.map_err(|e| self.failed(path, &e))?;
        Ok((directory, name))
    }

    async fn directory(
        &self,
        path: &str,
        create: bool,
    ) -> std::result::Result<FileSystemDirectoryHandle, JsValue> {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let mut directory: FileSystemDirectoryHandle =
            wait(scope.navigator().storage().get_directory()).await?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(create);
        let parts = self.root.split('/').chain(path.split('/'));
        for part in parts.filter(|part| !part.is_empty()) {
            directory = wait(directory.get_directory_handle_with_options(part, &options)).await?;
        }
        Ok(directory)
    }

    fn failed(&self, path: &str, error: &JsValue) -> Error {
        let message = Reflect::get(error, &"message".into()).ok().and_then(|m| m.as_string());
        let message = message.unwrap_or_else(|| format!("{error:?}"));
        let path = format!("browser storage {}/{path}", self.root);
        Error::io(path, io::Error::new(kind_of(error), message))
    }
}

/// Splits a path into its directory and its last part.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn kind_of(error: &JsValue) -> io::ErrorKind {
    let name = error.dyn_ref::<DomException>().map(DomException::name).unwrap_or_default();
    match name.as_str() {
        "NotFoundError" => io::ErrorKind::NotFound,
        "QuotaExceededError" => io::ErrorKind::StorageFull,
        "NotAllowedError" | "SecurityError" => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    }
}

/// Collects the values of an asynchronous iterator.
async fn collect(iterator: AsyncIterator) -> std::result::Result<Vec<JsValue>, JsValue> {
    let mut all = Vec::new();
    loop {
        let next: IteratorNext = wait(iterator.next()?).await?;
        if next.done() {
            return Ok(all);
        }
        all.push(next.value());
    }
}

pub(super) async fn wait<T: JsCast>(promise: Promise) -> std::result::Result<T, JsValue> {
    Ok(JsFuture::from(promise).await?.unchecked_into())
}
