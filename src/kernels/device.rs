//! Properties of the devices of a process: software adapters, and replacements of the matrix product.

use std::sync::{PoisonError, RwLock};

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::{ElemType, FloatKind};

use crate::HAS_OWN_PRODUCTS;

/// Values for some of the GPUs of this process, in a list, since a process has few.
pub(super) struct PerDevice<T>(RwLock<Vec<(CubeDevice, T)>>);

impl<T: Copy> PerDevice<T> {
    pub const fn new() -> Self {
        Self(RwLock::new(Vec::new()))
    }

    /// Sets the value of `device`. Devices of the CPU backend are not affected.
    pub fn set(&self, device: &Device, value: T) {
        let device = device.clone().inner();
        let DispatchDevice::Cube(device) = device.as_dispatch() else { return };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| other != device);
        all.push((device.clone(), value));
    }

    /// Returns the value that was last set for `device`.
    pub fn get(&self, device: &CubeDevice) -> Option<T> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(other, _)| other == device).map(|(_, value)| *value)
    }
}

static SERIAL: PerDevice<bool> = PerDevice::new();

/// Sets whether `device` is a software adapter: a CPU behind a GPU interface, such as lavapipe or SwiftShader.
///
/// Such an adapter runs the units (invocations) of a workgroup one after another. Barriers and shared memory cost it
/// much and gain nothing, so each unit does a larger piece of work alone. Without a call, a device counts as a GPU.
/// Devices of the CPU backend are not affected.
pub fn prefer_serial(device: &Device, serial: bool) {
    SERIAL.set(device, serial);
}

/// Returns the last value of [`prefer_serial`] for `device`.
pub(super) fn is_serial(device: &CubeDevice) -> bool {
    SERIAL.get(device).unwrap_or(false)
}

/// Matrix products of a device that replace burn's, which offer no choice between f32 and TF32. `tf32` permits rounding the
/// factors of f32 products to TF32.
pub trait Products: Sync {
    /// Writes the matrix product of two tensors, batches of matrices included, into a third without gaps between its rows.
    fn multiply(&self, a: CubeTensor, b: CubeTensor, out: CubeTensor, tf32: bool);

    /// Returns true if [`Self::project`] may succeed.
    fn has_projections(&self) -> bool {
        false
    }

    /// Computes a projection in one operation. Returns false if it did not; the outputs are then undefined.
    fn project(&self, _projection: Projection, _tf32: bool) -> bool {
        false
    }
}

/// A projection of `N` rows of `I` numbers to `O`, `x Wᵀ + bias + residual`, optionally followed by GELU.
#[derive(Clone, Debug)]
pub struct Projection {
    /// `[N, I]`
    pub x: CubeTensor,
    /// `[O, I]`
    pub weight: CubeTensor,
    /// `[O]`
    pub bias: Option<CubeTensor>,
    /// `[N, O]`
    pub residual: Option<CubeTensor>,
    /// With one, the result is GELU (in its tanh form) of the sum, which is written here, `[N, O]` without gaps.
    pub before_gelu: Option<CubeTensor>,
    /// Receives the result, `[N, O]` without gaps.
    pub out: CubeTensor,
}

static PRODUCTS: PerDevice<&'static dyn Products> = PerDevice::new();

/// Sets the matrix products of `device`.
pub fn set_products(device: &Device, products: &'static dyn Products) {
    PRODUCTS.set(device, products);
}

/// Returns the last value of [`set_products`] for `device`.
pub(super) fn products(device: &CubeDevice) -> Option<&'static dyn Products> {
    if HAS_OWN_PRODUCTS { PRODUCTS.get(device) } else { None }
}

/// Returns true if `device`, which is not an autodiff device, has tensor cores for TF32 and a product that can leave them
/// alone.
pub(super) fn has_tf32(device: &Device) -> bool {
    let DispatchDevice::Cube(device) = device.as_dispatch() else { return false };
    products(device).is_some()
        && device.client().properties().supports_type(ElemType::Float(FloatKind::TF32))
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
