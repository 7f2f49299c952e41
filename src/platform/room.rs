//! Memory of a device for models.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{free_memory, memory_of_rank};
use crate::kernels::gpu_memory;

/// Memory that there is for models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Room {
    /// Bytes of this program, which reads and writes checkpoints and computes on the CPU.
    pub host: u64,
    /// Bytes on the device; none if it does not report them.
    pub device: Option<u64>,
    /// True if the device computes in the program's own memory.
    pub shared: bool,
    /// Bytes of the device's largest tensor; none if only memory limits it.
    pub largest_tensor: Option<u64>,
}

impl Room {
    /// Returns what there is now on `device`, including `held` bytes of the program that hold models already. Ranks that compute in
    /// the memory of one machine share it.
    pub fn of(device: &Device, held: u64) -> Self {
        let host = free_memory(held);
        match gpu_memory(device) {
            None => {
                let device = Some(memory_of_rank(host));
                Self { host, device, shared: true, largest_tensor: None }
            }
            Some(gpu) => Self {
                host,
                device: if gpu.software { Some(memory_of_rank(host)) } else { gpu.total },
                shared: gpu.software,
                largest_tensor: Some(gpu.largest_tensor),
            },
        }
    }
}
