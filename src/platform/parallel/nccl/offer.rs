//! NCCL capabilities of this rank: the library and a GPU.

use std::fs;
use std::sync::Arc;

use super::Nccl;
use super::cuda_order::Gpu;
use super::library::{Library, describe};
use crate::error::{Error, Result};
use crate::parallel::Collective;
use crate::platform::parallel::choice::{Choice, Offer, Way};
use crate::platform::{host_name, open_device};

/// With this variable, NCCL 2.30 and newer lets ranks share a GPU.
const SHARE: &str = "NCCL_MULTI_RANK_GPU_ENABLE";

/// Opens `device` if it is an NVIDIA GPU, and returns the NCCL capabilities of this rank.
///
/// # Errors
/// The device cannot be opened.
pub async fn offer(choice: Choice, device: &str) -> Result<(Offer, Option<Way>)> {
    let mut offer = Offer {
        choice,
        device: device.into(),
        gpu: None,
        version: None,
        shares: std::env::var(SHARE).is_ok_and(|value| value == "1"),
        problem: None,
    };
    // Others are opened when the data is known to suit them.
    if choice == Choice::Mpi || !(device.starts_with("cuda") || device == "auto") {
        return Ok((offer, None));
    }
    let (opened, _) = open_device(device).await?;
    let Some(gpu) = Gpu::of(&opened) else { return Ok((offer, None)) };
    let bus_id = gpu.bus_id().map_err(|problem| Error::Device {
        device: device.into(),
        problem,
        remedy: "look at nvidia-smi, or set `collective` to mpi".into(),
    })?;
    offer.gpu = Some([machine(), bus_id]);
    match Library::load() {
        Ok(library) => {
            offer.version = Some((library.version(), describe(library.version())));
            let way = move |ranks| Arc::new(Nccl::new(ranks, library, gpu)) as Arc<dyn Collective>;
            Ok((offer, Some(Box::new(way))))
        }
        Err((problem, remedy)) => {
            offer.problem = Some([problem, remedy.into()]);
            Ok((offer, None))
        }
    }
}

/// Returns a name of this machine that no other one has, as far as that can be known.
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{} {}", host_name(), boot.trim())
}
