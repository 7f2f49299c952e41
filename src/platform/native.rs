//! Devices, clock and files of a native program.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};

use super::{DeviceInfo, probe};
use crate::error::{Error, Result};
use crate::kernels::prefer_serial;

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// Milliseconds since 1970.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

/// Milliseconds since some moment, for measuring short times.
pub fn tick_ms() -> f64 {
    now_ms()
}

/// Lets others run. Natively there are threads for that.
pub async fn yield_now() {}

/// The devices this program could use now, best first, and the backends that are compiled in but found none.
pub async fn list_devices() -> Vec<DeviceInfo> {
    let mut devices = cuda::list();
    devices.extend(adapters().await.into_iter().map(|info| {
        let name = if info.backend == wgpu::Backend::Vulkan { "vulkan" } else { "wgpu" };
        describe(name, &info, None)
    }));
    devices.push(cpu(None));
    devices
}

/// Opens `auto`, `cpu`, `wgpu`, `vulkan`, `cuda` or `cuda:N`; the same choice gives the same device again.
///
/// # Errors
/// A device that is unknown, not compiled in, or not there.
#[allow(clippy::await_holding_lock, reason = "whoever opens the same device must wait; threads do")]
pub async fn open_device(choice: &str) -> Result<(Device, DeviceInfo)> {
    // A wgpu runtime can be registered only once per process.
    static OPEN: Mutex<BTreeMap<String, (Device, DeviceInfo)>> = Mutex::new(BTreeMap::new());
    open_once(choice, &mut OPEN.lock().unwrap_or_else(PoisonError::into_inner)).await
}

/// What [`open_device`] does for whoever holds the list of open devices.
async fn open_once(
    choice: &str,
    open: &mut BTreeMap<String, (Device, DeviceInfo)>,
) -> Result<(Device, DeviceInfo)> {
    if let Some(open) = open.get(choice) {
        return Ok(open.clone());
    }
    let opened = match choice {
        "auto" => auto(open).await?,
        "cpu" => (Device::flex(), cpu(None)),
        "wgpu" => wgpu_device("wgpu", WgpuBackend::Auto).await?,
        "vulkan" => wgpu_device("vulkan", WgpuBackend::Vulkan).await?,
        _ => cuda::open(choice)?,
    };
    open.insert(choice.into(), opened.clone());
    Ok(opened)
}

async fn auto(open: &mut BTreeMap<String, (Device, DeviceInfo)>) -> Result<(Device, DeviceInfo)> {
    if let Some(info) = cuda::list().first() {
        return Box::pin(open_once(&info.name, open)).await;
    }
    let adapters = adapters().await;
    if adapters.iter().any(|info| info.device_type != wgpu::DeviceType::Cpu) {
        let (gpu, mut info) = Box::pin(open_once("wgpu", open)).await?;
        let processor = (Device::flex(), cpu(None));
        let theirs = probe::gflops(&processor.0).await.unwrap_or(0.0);
        let ours = probe::gflops(&gpu).await.unwrap_or(0.0);
        if ours >= theirs {
            info.reason = Some(probe::because(ours, "the CPU", theirs));
            return Ok((gpu, info));
        }
        return Ok((processor.0, cpu(Some(probe::because(theirs, &info.adapter, ours)))));
    }
    let reason = match adapters.first() {
        Some(info) => format!("the only GPU adapter, {}, is executed in software", info.name),
        None => "no GPU adapter was found".into(),
    };
    Ok((Device::flex(), cpu(Some(reason))))
}

async fn adapters() -> Vec<wgpu::AdapterInfo> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    let mut infos: Vec<_> = adapters.iter().map(wgpu::Adapter::get_info).collect();
    infos.sort_by_key(|info| info.device_type == wgpu::DeviceType::Cpu);
    infos
}

async fn wgpu_device(name: &str, api: WgpuBackend) -> Result<(Device, DeviceInfo)> {
    let options = Device::wgpu_options().device_kind(DeviceKind::DefaultDevice).graphics_api(api);
    let (device, setup) = options.init_with_setup_async().await.map_err(|error| Error::Device {
        device: name.into(),
        problem: error.to_string(),
        remedy: "install a Vulkan driver (mesa-vulkan-drivers has one in software), or use \
                     --device cpu"
            .into(),
    })?;
    let info = describe(name, &setup.adapter.get_info(), None);
    prefer_serial(info.software);
    Ok((device, info))
}

fn describe(name: &str, info: &wgpu::AdapterInfo, reason: Option<String>) -> DeviceInfo {
    let adapter = format!("{} ({:?}, {})", info.name, info.backend, info.driver);
    let software = info.device_type == wgpu::DeviceType::Cpu;
    DeviceInfo { name: name.into(), adapter, software, reason }
}

fn cpu(reason: Option<String>) -> DeviceInfo {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.into());
    let adapter = format!("{model}, {threads} threads");
    DeviceInfo { name: "cpu".into(), adapter, software: false, reason }
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::{Device, DeviceInfo, Error, Result};
    use burn::tensor::DeviceType;

    pub fn list() -> Vec<DeviceInfo> {
        let found = std::panic::catch_unwind(|| Device::enumerate(DeviceType::Cuda).into_vec());
        let describe = |(index, device): (usize, Device)| {
            let adapter = device.identity().map_or("NVIDIA GPU".into(), |identity| identity.name);
            DeviceInfo { name: format!("cuda:{index}"), adapter, software: false, reason: None }
        };
        found.unwrap_or_default().into_iter().enumerate().map(describe).collect()
    }

    pub fn open(choice: &str) -> Result<(Device, DeviceInfo)> {
        let index = match choice {
            "cuda" => 0,
            _ => choice
                .strip_prefix("cuda:")
                .and_then(|index| index.parse::<usize>().ok())
                .ok_or_else(|| super::unknown(choice))?,
        };
        let info = list().into_iter().nth(index).ok_or_else(|| Error::Device {
            device: choice.into(),
            problem: "no such NVIDIA GPU was found".into(),
            remedy: "install its driver, or see what there is with `blankslate devices`".into(),
        })?;
        Ok((Device::cuda(index), info))
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::{Device, DeviceInfo, Error, Result};

    pub fn list() -> Vec<DeviceInfo> {
        Vec::new()
    }

    pub fn open(choice: &str) -> Result<(Device, DeviceInfo)> {
        if choice == "cuda" || choice.starts_with("cuda:") {
            return Err(Error::Device {
                device: choice.into(),
                problem: "this program was built without CUDA".into(),
                remedy: "build it with `cargo build --release --features cuda`".into(),
            });
        }
        Err(super::unknown(choice))
    }
}

fn unknown(choice: &str) -> Error {
    Error::Device {
        device: choice.into(),
        problem: "there is no such device".into(),
        remedy: "use auto, cpu, wgpu, vulkan or cuda[:N]".into(),
    }
}

/// Does nothing: here pipelines are compiled in turn whoever asks for them.
///
/// # Errors
/// None; the page's function of this name has some.
pub async fn compile_ahead(
    _rehearsal: impl FnOnce() -> Result<()>,
    _progress: impl Fn(u64, u64),
) -> Result<()> {
    Ok(())
}

/// Files below one directory.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Files below `root`; it is created when something is written.
    pub async fn open(root: &str) -> Result<Self> {
        Ok(Self { root: root.into() })
    }

    /// The whole of a file.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.root.join(path);
        fs::read(&path).map_err(|e| Error::io(path, e))
    }

    /// Writes a file so that either its old or its new content is there, whatever happens.
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
            File::open(directory)?.sync_all()
        };
        written().map_err(|e| {
            // What could not be finished must not take up the space it failed for.
            let _ = fs::remove_file(&temporary);
            Error::io(&path, e)
        })
    }

    /// Names in a directory, sorted; none if it is not there.
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

    /// Bytes of all files in a directory and below it; 0 if it is not there.
    pub async fn size(&self, path: &str) -> Result<u64> {
        let path = self.root.join(path);
        match size_of(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
            size => Ok(size.unwrap_or(0)),
        }
    }

    /// Removes a file or a directory with all it holds; it may be gone already.
    pub async fn remove(&self, path: &str) -> Result<()> {
        let path = self.root.join(path);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, e)),
            _ => Ok(()),
        }
    }

    /// Makes `from` appear as `to` as well, atomically and without a second copy where the file system can.
    pub async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let (from, path) = (self.root.join(from), self.root.join(to));
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let _ = fs::remove_file(&temporary);
        if fs::hard_link(&from, &temporary).is_ok() && fs::rename(&temporary, &path).is_ok() {
            // Renaming onto another name of the same file does nothing and leaves the link behind.
            let _ = fs::remove_file(&temporary);
            return Ok(());
        }
        let _ = fs::remove_file(&temporary);
        let bytes = fs::read(&from).map_err(|e| Error::io(&from, e))?;
        self.write(to, &bytes).await
    }
}

fn size_of(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    match about.is_dir() {
        true => fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum(),
        false => Ok(about.len()),
    }
}
