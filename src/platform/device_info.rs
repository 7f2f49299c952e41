//! Description of a device.

use serde::{Deserialize, Serialize};

use super::room::Room;

/// Description of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeviceInfo {
    /// `cpu`, `wgpu`, `vulkan`, `cuda:0` or `webgpu`.
    pub name: String,
    /// Name of the adapter or processor.
    pub adapter: String,
    /// True for a software adapter.
    pub software: bool,
    /// Reason for the choice, if it was automatic or is not the requested device; on CUDA, that for the library of matrix
    /// products.
    pub reason: Option<String>,
    /// Memory for models, as it was when the device was opened; none for a device that is only listed.
    pub room: Option<Room>,
}

impl DeviceInfo {
    /// Returns true for a GPU or a software adapter.
    pub fn is_gpu(&self) -> bool {
        self.name != "cpu"
    }
}
