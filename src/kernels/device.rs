//! Which kind of processor a device is.

use std::sync::{PoisonError, RwLock};

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use burn_cubecl::CubeDevice;

/// Software adapters among the devices in use; a process has few.
static SERIAL: RwLock<Vec<CubeDevice>> = RwLock::new(Vec::new());

/// Sets whether `device` is a software adapter: a CPU behind a GPU interface, such as lavapipe or SwiftShader.
///
/// Such an adapter runs the units (invocations) of a workgroup one after another. Barriers and shared memory cost it
/// much and gain nothing, so each unit does a larger piece of work alone. Without a call, a device counts as a GPU.
/// Devices of the CPU backend are not affected.
pub fn prefer_serial(device: &Device, serial: bool) {
    let device = device.clone().inner();
    let DispatchDevice::Cube(device) = device.as_dispatch() else { return };
    let mut all = SERIAL.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|other| other != device);
    if serial {
        all.push(device.clone());
    }
}

/// Returns what [`prefer_serial`] was last called with for `device`.
pub(super) fn is_serial(device: &CubeDevice) -> bool {
    SERIAL.read().unwrap_or_else(PoisonError::into_inner).contains(device)
}

/// Memory of a GPU or of a software adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// Bytes in all; none if the driver does not report them.
    pub total: Option<u64>,
    /// Bytes of the largest tensor.
    pub largest_tensor: u64,
    /// True for a software adapter, whose memory is the processor's.
    pub software: bool,
}

/// Returns the memory of an open device; none for the CPU backend.
pub fn gpu_memory(device: &Device) -> Option<GpuMemory> {
    let device = device.clone().inner();
    let DispatchDevice::Cube(device) = device.as_dispatch() else { return None };
    let client = device.client();
    let memory = &client.properties().memory;
    Some(GpuMemory {
        total: memory.max_memory(),
        largest_tensor: memory.max_page_size,
        software: is_serial(device),
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::DeviceKind;

    use super::*;

    #[test]
    fn two_devices_of_one_process_can_differ() {
        let cube = |device: &Device| match device.as_dispatch() {
            DispatchDevice::Cube(device) => device.clone(),
            other => panic!("{other:?} is not a GPU"),
        };
        let [gpu, software] = [DeviceKind::DiscreteGpu(7), DeviceKind::Cpu].map(Device::wgpu);
        prefer_serial(&software, true);
        assert!(is_serial(&cube(&software)) && !is_serial(&cube(&gpu)));
        prefer_serial(&gpu.clone().autodiff(), true);
        prefer_serial(&software, false);
        assert!(!is_serial(&cube(&software)) && is_serial(&cube(&gpu)));
        prefer_serial(&Device::flex(), true);
        assert!(!is_serial(&cube(&software)));
    }
}
