//! Matrix products on CUDA: by NVIDIA's library cuBLASLt if it is installed, which uses instructions of newer GPUs that burn's
//! compiler does not support, and by burn's kernels otherwise.

mod cublaslt;
mod layout;
mod library;
mod order;
mod plan;
mod session;
pub mod times;
mod tuned;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn_cubecl::tensor::CubeTensor;

use crate::error::{Error, Result};
use crate::kernels::Products;
use cublaslt::CublasLt;
use library::{Choice, SWITCH};
use session::Session;

/// burn's kernels.
struct Tuned;

impl Products for Tuned {
    fn multiply(&self, a: CubeTensor, b: CubeTensor, out: CubeTensor, tf32: bool) {
        tuned::multiply(a, b, out, tf32);
    }
}

/// Chooses the library of the products on the GPU with this index, which the user calls `device`, and describes the choice.
///
/// # Errors
/// [`Error::Device`] if the environment requests cuBLASLt and it cannot be used, or has an unknown value.
pub fn choose(device: &str, index: usize) -> Result<(&'static dyn Products, String)> {
    let choice = Choice::of_environment().map_err(|value| Error::Device {
        device: device.into(),
        problem: format!("{SWITCH}={} is unknown", value.display()),
        remedy: "use auto, burn or cublaslt".into(),
    })?;
    let burn: &'static dyn Products = &Tuned;
    if choice == Choice::Burn {
        return Ok((burn, format!("matrix products by burn: {SWITCH}=burn")));
    }
    match open_once(index) {
        Ok((opened, words)) => Ok((opened, words)),
        Err(reason) if choice == Choice::Auto => {
            Ok((burn, format!("matrix products by burn: {reason}")))
        }
        Err(reason) => Err(Error::Device {
            device: device.into(),
            problem: format!("{SWITCH}=cublaslt, but {reason}"),
            remedy: "install cuBLAS 12 or newer (of the CUDA toolkit, or `pip install nvidia-cublas`) and name its \
                     folder in LD_LIBRARY_PATH, or use another value"
                .into(),
        }),
    }
}

/// The sessions of this process by the index of the GPU, each with its description. They last as long as the process.
static OPENED: Mutex<BTreeMap<usize, (&'static CublasLt, String)>> = Mutex::new(BTreeMap::new());

/// Opens cuBLASLt for a GPU, unless that was done before.
fn open_once(index: usize) -> std::result::Result<(&'static CublasLt, String), String> {
    let opened = &mut *OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, words)) = opened.get(&index) {
        return Ok((*known, words.clone()));
    }
    let (new, words) = open(index)?;
    let new: &'static CublasLt = Box::leak(Box::new(new));
    opened.insert(index, (new, words.clone()));
    Ok((new, words))
}

/// Opens cuBLASLt and describes it.
fn open(index: usize) -> std::result::Result<(CublasLt, String), String> {
    let version = library::load()?;
    let session = Session::new(index)?;
    let waiting = if session.blocks_the_host() {
        "; the host waits for each, as the driver is older than CUDA 12.5"
    } else {
        ""
    };
    Ok((CublasLt::new(session), format!("matrix products by cuBLASLt {version}{waiting}")))
}
