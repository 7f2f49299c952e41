//! Time of a piece of work on a device.

use crate::common::Outcome;
use blankslate::platform::{KernelTime, Profiler, block_on};
use burn::backend::DispatchDevice;
use burn::tensor::Device;

/// Time of a piece of work.
pub struct Timed {
    /// Seconds in which the device computed; the elapsed ones on a device without a clock of its own, such as the CPU.
    pub seconds: f64,
    /// Seconds from its begin until the device was done.
    pub elapsed: f64,
    /// Kernels that it launched.
    pub kernels: Vec<KernelTime>,
}

/// Times `work` on an otherwise idle device.
pub fn time<T>(device: &Device, work: impl FnOnce() -> Outcome<T>) -> Outcome<Timed> {
    wait(device)?;
    let profiler = Profiler::start();
    // Its memory is freed afterwards.
    let _result = work()?;
    wait(device)?;
    let report = block_on(profiler.finish(1));
    let elapsed = report.ms / 1e3;
    let inner = device.clone().inner();
    let on_cpu = matches!(inner.as_dispatch(), DispatchDevice::Flex(_));
    let computed: Option<f64> = report.kernels.iter().map(|kernel| kernel.ms).sum();
    let computed = computed.filter(|ms| !on_cpu && *ms > 0.0).map(|ms| ms / 1e3);
    Ok(Timed { seconds: computed.unwrap_or(elapsed), elapsed, kernels: report.kernels })
}

/// Waits until a device is idle.
pub fn wait(device: &Device) -> Outcome<()> {
    device.sync().map_err(|error| format!("the device failed: {error:?}").into())
}
