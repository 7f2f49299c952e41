//! GPU memory of tensors for NCCL, and synchronization of cubecl's and NCCL's work on it.
//!
//! cubecl orders its own streams and does not expose them. Between cubecl and NCCL, a thread of ours therefore waits for the device.
//! Before NCCL, it waits for all that was launched by the thread that starts the operation ([`Gpu::launched`]), since cubecl orders
//! streams by the allocation of a tensor and not by its writes, and for its own allocations ([`Gpu::finish`]); after NCCL, for our
//! stream that NCCL uses. Other threads continue to launch kernels meanwhile.

use std::ffi::CStr;

use burn::backend::{
    BackendTensor, DispatchDevice, DispatchKindConversion, DispatchTensor, DispatchTensorKind,
};
use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use cubecl::client::Client;
use cubecl::cuda::CudaRuntime;
use cubecl_runtime::runtime::Runtime;
use cudarc::driver::result::{self, DriverError, ctx, device, event, primary_ctx, stream};
use cudarc::driver::sys::{self, CUevent, CUevent_flags, CUresult, CUstream};

use crate::platform::block_on;

/// cubecl's server, which owns CUDA memory.
type Server = <CudaRuntime as Runtime>::Server;

/// An NVIDIA GPU that is open.
#[derive(Clone)]
pub struct Gpu {
    device: CubeDevice,
    /// Its index in this process.
    index: usize,
    client: Client,
}

/// Memory of a tensor, which is not freed or reused while this exists.
pub struct Held {
    /// Address on the device; 0 for an empty tensor.
    pub address: u64,
    /// Keeps the memory alive.
    _memory: Box<dyn Send>,
}

impl Gpu {
    /// Returns the GPU of `device`; none if it is no NVIDIA GPU.
    pub fn of(device: &Device) -> Option<Self> {
        let device = device.clone().inner();
        let DispatchDevice::Cube(device) = device.as_dispatch() else { return None };
        let CubeDevice::Cuda(cuda) = device else { return None };
        Some(Self { device: device.clone(), index: cuda.index, client: device.client() })
    }

    /// Returns its bus address, by which NCCL distinguishes GPUs.
    pub fn bus_id(&self) -> Result<String, String> {
        let mut text = [0u8; 32];
        let gpu = device::get(self.index as i32).map_err(describe)?;
        // SAFETY: the driver writes at most the given number of bytes, and the buffer outlives the call.
        unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr().cast(), text.len() as i32, gpu) }
            .result()
            .map_err(describe)?;
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        Ok(text.to_string_lossy().into_owned())
    }

    /// Returns true if `device` is this GPU.
    pub fn is(&self, device: &Device) -> bool {
        let device = device.clone().inner();
        matches!(device.as_dispatch(), DispatchDevice::Cube(device) if *device == self.device)
    }

    /// Returns a tensor of this GPU in the form of its backend, without gaps.
    ///
    /// # Panics
    /// If it is on another device.
    pub fn unwrap(&self, tensor: Tensor<1>) -> CubeTensor {
        match tensor.without_autodiff().into_dispatch().kind {
            DispatchTensorKind::Cube(tensor) => into_contiguous(tensor.float()),
            _ => panic!("the tensor is on another device"),
        }
    }

    /// Converts a tensor to burn's.
    pub fn wrap(tensor: CubeTensor) -> Tensor<1> {
        let tensor = BackendTensor::<CubeBackend>::Float(tensor);
        Tensor::from_dispatch(DispatchTensor::from_backend(tensor))
    }

    /// Allocates a tensor `[len]`.
    pub fn empty(&self, len: usize, dtype: DType) -> CubeTensor {
        let shape = Shape::new([len]);
        empty_device_contiguous_dtype(self.client.clone(), self.device.clone(), shape, dtype)
    }

    /// Returns a wait for all that this thread has launched so far.
    pub fn launched(&self) -> impl FnOnce() -> Result<(), String> + Send + 'static {
        let fence = self.client.sync();
        move || block_on(fence).map_err(|error| format!("the device fails: {error}"))
    }

    /// Holds the memory of a tensor. Its allocation is finished once [`Self::finish`] returns on this thread.
    pub fn hold(&self, tensor: &CubeTensor) -> Result<Held, String> {
        if tensor.meta.shape().num_elements() == 0 {
            return Ok(Held { address: 0, _memory: Box::new(()) });
        }
        let memory = self.client.get_resource::<Server>(tensor.handle.clone());
        let memory = memory.map_err(|error| format!("the tensor cannot be used: {error}"))?;
        let address = memory.resource().ptr;
        Ok(Held { address, _memory: Box::new((memory, tensor.clone())) })
    }

    /// Waits for what this thread has launched and allocated.
    pub fn finish(&self) -> Result<(), String> {
        block_on(self.client.sync()).map_err(|error| format!("the device fails: {error}"))
    }
}

/// A stream of ours, used by the thread that creates it.
pub struct Stream {
    stream: CUstream,
    /// Recorded after the work that was started last.
    event: CUevent,
}

impl Stream {
    /// Creates a stream on `gpu`, whose context the thread keeps.
    pub fn new(gpu: &Gpu) -> Result<Self, String> {
        let create = || {
            let device = device::get(gpu.index as i32)?;
            // SAFETY: the driver returned this device; its context is the one that cubecl uses, and is never released.
            unsafe { ctx::set_current(primary_ctx::retain(device)?)? };
            let stream = stream::create(stream::StreamKind::NonBlocking)?;
            let event = event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
            Ok(Self { stream, event })
        };
        create().map_err(describe)
    }

    /// Returns the stream as NCCL's type.
    pub fn raw(&self) -> super::library::Stream {
        self.stream.cast()
    }

    /// Starts to copy bytes on the device.
    ///
    /// # Safety
    /// Both addresses are of memory held with as many bytes, until the copy has ended.
    pub unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), String> {
        // SAFETY: the caller's promise; the stream lives as long as `self`.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }.map_err(describe)
    }

    /// Marks the work that was started so far.
    pub fn mark(&self) -> Result<(), String> {
        // SAFETY: both were created with `self` and are never destroyed.
        unsafe { event::record(self.event, self.stream) }.map_err(describe)
    }

    /// Returns true if the work before the last mark has ended.
    pub fn has_ended(&self) -> Result<bool, String> {
        // SAFETY: the event was created with `self` and is never destroyed.
        match unsafe { event::query(self.event) } {
            Ok(()) => Ok(true),
            Err(DriverError(CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            Err(error) => Err(describe(error)),
        }
    }
}

fn describe(error: DriverError) -> String {
    format!("NVIDIA's driver fails: {error}")
}
