//! Native devices, clock and files.

#[cfg(feature = "cuda")]
mod cuda;
mod disk;
mod name_lock;
mod sensors;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{Device, DeviceKind};
use sysinfo::System;

use super::parallel::local_ranks;
use super::{DeviceInfo, Room, probe};
use crate::error::{Error, Result};
use crate::kernels::prefer_serial;

#[cfg(feature = "cuda")]
pub(super) use cuda::times as library_times;
pub use disk::Operation;
pub use name_lock::NameLock;
pub use sensors::{Readings, Sensors};
pub use store::Store;

/// Blocks on a future.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// Returns the name of this machine.
pub fn host_name() -> String {
    System::host_name().unwrap_or_else(|| "an unknown host".into())
}

/// Returns the milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

/// Returns a time in milliseconds for measuring short durations.
pub fn tick_ms() -> f64 {
    now_ms()
}

/// Yields to other tasks. A no-op natively, where other tasks have their own threads.
pub async fn yield_now() {}

/// Lists the available devices, best first.
pub async fn list_devices() -> Vec<DeviceInfo> {
    let mut devices = cuda::list();
    devices.extend(adapters().await.into_iter().map(|info| {
        let name = if info.backend == wgpu::Backend::Vulkan { "vulkan" } else { "wgpu" };
        describe(name, &info, None)
    }));
    devices.push(cpu(None));
    devices
}

/// Opens `auto`, `cpu`, `wgpu`, `vulkan`, `cuda` or `cuda:N`. Opening the same choice again returns the same device.
///
/// # Errors
/// Returns an error if the device is unknown, not compiled in or not available.
#[allow(clippy::await_holding_lock, reason = "other threads must wait until the device is open")]
pub async fn open_device(choice: &str) -> Result<(Device, DeviceInfo)> {
    // A wgpu runtime can only be registered once per process.
    static OPEN: Mutex<BTreeMap<String, (Device, DeviceInfo)>> = Mutex::new(BTreeMap::new());
    open_once(choice, &mut OPEN.lock().unwrap_or_else(PoisonError::into_inner)).await
}

/// Opens a device, given the devices that are open already.
async fn open_once(
    choice: &str,
    open: &mut BTreeMap<String, (Device, DeviceInfo)>,
) -> Result<(Device, DeviceInfo)> {
    if let Some(open) = open.get(choice) {
        return Ok(open.clone());
    }
    let mut opened = match choice {
        "auto" => auto(open).await?,
        "cpu" => (Device::flex(), cpu(None)),
        "wgpu" => wgpu_device("wgpu", WgpuBackend::Auto).await?,
        "vulkan" => wgpu_device("vulkan", WgpuBackend::Vulkan).await?,
        _ => cuda::open(choice, cuda_index(choice)?)?,
    };
    opened.1.room = Some(Room::of(&opened.0, 0));
    open.insert(choice.into(), opened.clone());
    Ok(opened)
}

/// Owner of [`free_memory`], in messages.
pub const MEMORY_OWNER: &str = "this machine";

/// Returns the bytes of memory that this program can have for models, including `held` bytes that it holds for them already.
///
/// That is what the system can provide without ending other programs, swap space included; in a container, at most its limit.
pub fn free_memory(held: u64) -> u64 {
    let Some(system) = measured() else { return u64::MAX };
    let mut free = system.available_memory();
    if let Some(limits) = system.cgroup_limits() {
        // The files that a container has read count as its memory, but give way.
        free = free.min(limits.total_memory.saturating_sub(limits.rss));
    }
    free.saturating_add(system.free_swap()).saturating_add(held)
}

/// Returns how much of `free` bytes one of the ranks on this machine can have: at most an even part of the machine's memory, of
/// what is free or not, since the other ranks may hold their parts already.
pub fn memory_of_rank(free: u64) -> u64 {
    let ranks = local_ranks();
    let Some(system) = (ranks > 1).then(measured).flatten() else { return free };
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    let all = system.total_memory().min(limit).saturating_add(system.total_swap());
    free.min(all / ranks as u64)
}

/// Returns the memory of the system as it is now; none where it cannot be measured.
fn measured() -> Option<System> {
    sysinfo::IS_SUPPORTED_SYSTEM.then(|| {
        let mut system = System::new();
        system.refresh_memory();
        system
    })
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
            info.reason = Some(probe::explain_choice(ours, "the CPU", theirs));
            return Ok((gpu, info));
        }
        return Ok((processor.0, cpu(Some(probe::explain_choice(theirs, &info.adapter, ours)))));
    }
    let reason = match adapters.first() {
        Some(info) => format!("the only GPU adapter, {}, is a software adapter", info.name),
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
        remedy: "install a Vulkan driver (mesa-vulkan-drivers has a software adapter), or use \
                     the CPU"
            .into(),
    })?;
    let info = describe(name, &setup.adapter.get_info(), None);
    prefer_serial(&device, info.software);
    Ok((device, info))
}

fn describe(name: &str, info: &wgpu::AdapterInfo, reason: Option<String>) -> DeviceInfo {
    let adapter = format!("{} ({:?}, {})", info.name, info.backend, info.driver);
    let software = info.device_type == wgpu::DeviceType::Cpu;
    DeviceInfo { name: name.into(), adapter, software, reason, room: None }
}

fn cpu(reason: Option<String>) -> DeviceInfo {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.into());
    let adapter = format!("{model}, {threads} threads");
    DeviceInfo { name: "cpu".into(), adapter, software: false, reason, room: None }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::{Device, DeviceInfo, Error, Result};

    pub fn list() -> Vec<DeviceInfo> {
        Vec::new()
    }

    pub fn open(choice: &str, _index: usize) -> Result<(Device, DeviceInfo)> {
        Err(Error::Device {
            device: choice.into(),
            problem: "this program was built without CUDA".into(),
            remedy: "build it with `cargo build --release --features cuda`".into(),
        })
    }
}

/// Returns the `N` of `cuda:N`, 0 for `cuda`.
fn cuda_index(choice: &str) -> Result<usize> {
    let index = match choice {
        "cuda" => Some(0),
        _ => choice.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    index.ok_or_else(|| Error::Device {
        device: choice.into(),
        problem: "the device is unknown".into(),
        remedy: "use auto, cpu, wgpu, vulkan or cuda[:N]".into(),
    })
}

/// Does nothing natively, where compiling pipelines ahead of time would not be faster.
///
/// # Errors
/// Never; the browser's version can fail.
pub async fn compile_ahead(
    _rehearsal: impl FnOnce() -> Result<()>,
    _progress: impl Fn(u64, u64),
) -> Result<()> {
    Ok(())
}
