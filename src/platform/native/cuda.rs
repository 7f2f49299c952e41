//! CUDA devices: how they are found, what they need at run time, and what they keep on disk.

mod products;

use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::Once;

use burn::tensor::Device;
use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use cudarc::driver::result::{self, DriverError, device};
use cudarc::driver::sys::{self, CUdevice_attribute::*};
use rustc_hash::FxBuildHasher;

use crate::error::{Error, Result};
use crate::kernels::attention::use_tensor_cores;
use crate::kernels::set_products;
use crate::platform::device_info::DeviceInfo;

pub use products::times;

/// Folders in which burn's compiler looks for libdevice without `CUDA_PATH`.
const TOOLKITS: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];

/// NVIDIA's mathematical functions, which are linked into kernels; below the folder of a toolkit.
const LIBDEVICE: &str = "nvvm/libdevice/libdevice.10.bc";

/// The NVIDIA GPUs, as the driver describes them. That opens none of them.
#[derive(Default)]
struct Gpus {
    names: Vec<String>,
    /// On what the choices between kernels depend: the version of the driver (13000 for CUDA 13.0), and name and compute
    /// capability of each GPU.
    identity: String,
}

/// Lists the NVIDIA GPUs; none if the driver fails, which [`open`] reports.
pub fn list() -> Vec<DeviceInfo> {
    let Gpus { names, identity } = gpus().unwrap_or_default();
    if !names.is_empty() {
        static KEEP: Once = Once::new();
        KEEP.call_once(|| keep_choices(&identity));
    }
    let describe = |(index, adapter)| DeviceInfo {
        name: format!("cuda:{index}"),
        adapter,
        software: false,
        reason: None,
        room: None,
    };
    names.into_iter().enumerate().map(describe).collect()
}

/// Opens a GPU by its place in [`list`]; `choice` is what the user calls it.
pub fn open(choice: &str, index: usize) -> Result<(Device, DeviceInfo)> {
    gpus().map_err(|error| Error::Device {
        device: choice.into(),
        problem: format!("NVIDIA's driver fails: {error}"),
        remedy: "look at nvidia-smi; after an update of the driver, restart the machine".into(),
    })?;
    let mut info = list().into_iter().nth(index).ok_or_else(|| Error::Device {
        device: choice.into(),
        problem: "no such NVIDIA GPU was found".into(),
        remedy: "install the driver, or list all devices with `blankslate devices`".into(),
    })?;
    find_libdevice(choice)?;
    let (products, words) = products::choose(choice, index)?;
    info.reason = Some(words);
    let device = Device::cuda(index);
    set_products(&device, products);
    use_tensor_cores(&device);
    Ok((device, info))
}

/// Asks the driver for its GPUs. Without a driver there are none.
fn gpus() -> std::result::Result<Gpus, DriverError> {
    // SAFETY: it only tries to load the library.
    if !unsafe { sys::is_culib_present() } {
        return Ok(Gpus::default());
    }
    result::init()?;
    let mut version = 0;
    // SAFETY: the driver writes to `version`, which outlives the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    let mut gpus = Gpus { names: Vec::new(), identity: format!("cuda-{version}") };
    for index in 0..device::get_count()? {
        let gpu = device::get(index)?;
        // SAFETY: the driver returned this device.
        let attribute = |which| unsafe { device::get_attribute(gpu, which) };
        let major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let name = device::get_name(gpu)?;
        gpus.identity += &format!(", {name} {major}.{minor}");
        gpus.names.push(name);
    }
    Ok(gpus)
}

/// Keeps the choices between kernels on disk, for the next process: in a file for this driver, these GPUs and this version of the
/// program. Compiled kernels are not kept: cubecl 0.11 names them on disk by a hash in which an optional argument that is there
/// and one that is not may be the same, so that a model could get another model's kernels.
fn keep_choices(identity: &str) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = false;
    config.environment.path = CacheConfig::Global;
    let key = FxBuildHasher.hash_one(identity);
    config.environment.name = format!("blankslate-{}-{key:016x}", env!("CARGO_PKG_VERSION"));
    // A program that uses this crate may have set its own configuration before.
    CubeClRuntimeConfig::try_set(config);
}

/// Checks that kernels can be compiled: without libdevice, the first one that needs it would fail.
fn find_libdevice(choice: &str) -> Result<()> {
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let places = match &named {
        Some(path) => vec![path.clone()],
        None => TOOLKITS.map(PathBuf::from).to_vec(),
    };
    if places.iter().any(|place| place.join(LIBDEVICE).is_file()) {
        return Ok(());
    }
    let place = match named {
        Some(path) => format!("in CUDA_PATH={}", path.display()),
        None => format!("in any of {}, and CUDA_PATH is not set", TOOLKITS.join(", ")),
    };
    Err(Error::Device {
        device: choice.into(),
        problem: format!("there is no {LIBDEVICE} {place}"),
        remedy: "install the CUDA toolkit, or `pip install nvidia-nvvm` (CUDA 13; also \
                 nvidia-cuda-nvcc-cu12 for CUDA 12), and set CUDA_PATH to the folder that holds \
                 nvvm/libdevice"
            .into(),
    })
}
