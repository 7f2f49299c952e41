//! Devices, clock and files in a browser's dedicated worker.

use std::cell::RefCell;
use std::io;

use burn::tensor::{Device, DeviceKind};
use cubecl::dry_run::DryRun;
use js_sys::{AsyncIterator, Date, IteratorNext, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DedicatedWorkerGlobalScope, DomException, File, FileSystemDirectoryHandle,
    FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemRemoveOptions, FileSystemWritableFileStream, MessageChannel,
};

use super::{DeviceInfo, probe};
use crate::error::{Error, Result};
use crate::kernels::prefer_serial;

/// Returns the milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> f64 {
    Date::now()
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Returns a time in milliseconds for measuring short durations, with a higher resolution than [`now_ms`].
pub fn tick_ms() -> f64 {
    performance_now()
}

/// Yields so that the worker handles pending messages.
pub async fn yield_now() {
    // A message to itself arrives at once, whereas a timeout takes at least 4 ms.
    let channel = MessageChannel::new().expect("workers have channels");
    let turn = Promise::new(&mut |resolve, _| {
        channel.port1().set_onmessage(Some(&resolve));
        channel.port2().post_message(&JsValue::NULL).expect("null can be posted");
    });
    let _ = JsFuture::from(turn).await;
    channel.port1().close();
}

/// Opens `auto`, `webgpu` or `cpu`. Opening the same choice again returns the same device.
///
/// # Errors
/// Returns an error if WebGPU is not available or lacks a required feature.
pub async fn open_device(choice: &str) -> Result<(Device, DeviceInfo)> {
    // burn registers its WebGPU runtime once per worker.
    thread_local! {
        static OPEN: RefCell<Option<(Device, DeviceInfo)>> = const { RefCell::new(None) };
        static AUTO: RefCell<Option<(Device, DeviceInfo)>> = const { RefCell::new(None) };
    }
    let cpu = |reason| {
        let adapter = "WebAssembly with SIMD, one thread".to_string();
        (Device::flex(), DeviceInfo { name: "cpu".into(), adapter, software: false, reason })
    };
    match choice {
        "cpu" => return Ok(cpu(None)),
        "auto" | "webgpu" => {}
        _ => return Err(lost(choice, "the device is unknown", "use auto, webgpu or cpu")),
    }
    let chosen = AUTO.with_borrow(Option::clone).filter(|_| choice == "auto");
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    let gpu = match OPEN.with_borrow(Option::clone) {
        Some(open) => Ok(open),
        None => webgpu().await.inspect(|open| OPEN.set(Some(open.clone()))),
    };
    let (gpu, mut info) = match gpu {
        Err(error) if choice == "auto" => return Ok(cpu(Some(error.to_string()))),
        gpu => gpu?,
    };
    if choice == "webgpu" {
        return Ok((gpu, info));
    }
    let theirs = probe::gflops(&Device::flex()).await.unwrap_or(0.0);
    let ours = probe::gflops(&gpu).await.unwrap_or(0.0);
    let chosen = if ours >= theirs {
        info.reason = Some(probe::explain_choice(ours, "the CPU", theirs));
        (gpu, info)
    } else {
        cpu(Some(probe::explain_choice(theirs, &info.adapter, ours)))
    };
    AUTO.set(Some(chosen.clone()));
    Ok(chosen)
}

async fn webgpu() -> Result<(Device, DeviceInfo)> {
    let enable = "enable WebGPU, use another browser, or choose the CPU";
    let adapter = request_adapter()
        .await
        .filter(|adapter| !adapter.is_null())
        .ok_or_else(|| lost("webgpu", "the browser has no WebGPU adapter", enable))?;
    // cubecl times kernels with timestamps and panics if the adapter has none.
    let timestamps = get(&adapter, "features")
        .and_then(|features| call(&features, "has", &"timestamp-query".into()))
        .is_some_and(|has| has.is_truthy());
    if !timestamps {
        return Err(lost("webgpu", "the adapter lacks timestamp-query", enable));
    }
    let device = Device::wgpu_options()
        .device_kind(DeviceKind::DefaultDevice)
        .init_async()
        .await
        .map_err(|e| lost("webgpu", &e.to_string(), enable))?;
    let info = get(&adapter, "info").unwrap_or_default();
    let parts = ["vendor", "architecture", "device", "description"];
    let parts = parts.into_iter().filter_map(|part| get(&info, part)?.as_string());
    let adapter = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let fallback = get(&info, "isFallbackAdapter").is_some_and(|flag| flag.is_truthy());
    let software = fallback || ["swiftshader", "llvmpipe"].iter().any(|n| adapter.contains(n));
    let adapter = if adapter.is_empty() { "unnamed adapter".into() } else { adapter };
    prefer_serial(&device, software);
    Ok((device, DeviceInfo { name: "webgpu".into(), adapter, software, reason: None }))
}

/// Calls `navigator.gpu.requestAdapter()`; none without WebGPU. Calls the browser directly because wgpu does not expose the
/// adapter's name.
async fn request_adapter() -> Option<JsValue> {
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let options = js_sys::Object::new();
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).ok()?;
    let promise: Promise = call(&gpu, "requestAdapter", &options)?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}

fn call(object: &JsValue, name: &str, argument: &JsValue) -> Option<JsValue> {
    get(object, name)?.dyn_into::<js_sys::Function>().ok()?.call1(object, argument).ok()
}

fn lost(device: &str, problem: &str, remedy: &str) -> Error {
    Error::Device { device: device.into(), problem: problem.into(), remedy: remedy.into() }
}

#[wasm_bindgen(module = "/src/platform/pipelines.js")]
extern "C" {
    fn begin();
    fn end();
    fn begun() -> u32;
    fn next() -> Promise;
}

/// Compiles the pipelines of all kernels that `rehearsal` launches in parallel, without running them. Calls `progress` with
/// the number of compiled pipelines and their total.
///
/// # Errors
/// Returns the errors of `rehearsal`.
pub async fn compile_ahead(
    rehearsal: impl FnOnce() -> Result<()>,
    progress: impl Fn(u64, u64),
) -> Result<()> {
    begin();
    let dry = DryRun::new();
    let rehearsed = rehearsal();
    drop(dry);
    end();
    rehearsed?;
    let total = begun();
    let mut left = total;
    while left > 0 {
        progress(u64::from(total - left), u64::from(total));
        let now: Option<JsValue> = wait(next()).await.ok();
        left = now.and_then(|left| left.as_f64()).map_or(0, |left| left as u32);
    }
    Ok(())
}

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

async fn wait<T: JsCast>(promise: Promise) -> std::result::Result<T, JsValue> {
    Ok(JsFuture::from(promise).await?.unchecked_into())
}
