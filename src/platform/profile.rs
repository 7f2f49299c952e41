//! Profiler: time per GPU kernel or per CPU operation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cubecl::config::{TypeNameFormatLevel, type_name_format};
use cubecl::logging::{
    Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest,
};
use serde::{Deserialize, Serialize};

use super::tick_ms;
use crate::kernels::{watch, watched};

/// Time of one GPU kernel or one CPU operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelTime {
    /// Name in the source.
    pub kernel: String,
    /// Number of launches.
    pub calls: u64,
    /// Total milliseconds on the device; none if the device has no timestamps.
    pub ms: Option<f64>,
}

/// Profile of training steps without evaluations, saves or samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProfileReport {
    /// Number of steps.
    pub steps: u64,
    /// Elapsed milliseconds.
    pub ms: f64,
    /// Kernels and operations, longest total time first.
    pub kernels: Vec<KernelTime>,
}

/// Records every kernel launch of the process and the CPU operations of this thread until [`Profiler::finish`].
///
/// Profiling does not synchronize the device: kernels still run back to back and are timed by device timestamps.
pub struct Profiler {
    start_ms: f64,
    launches: Arc<Launches>,
    watch: LaunchObservation,
}

#[derive(Default)]
struct Launches(Mutex<Vec<(&'static str, Option<ProfileDuration>)>>);

impl LaunchObserver for Launches {
    fn launched(&self, _kernel: &'static str) {}

    fn timing(&self) -> TimingRequest {
        TimingRequest::Deferred
    }

    fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
        // Host time around a launch is not device time.
        let profile = (profile.timing_method() == TimingMethod::Device).then_some(profile);
        self.0.lock().expect("nobody panics with it").push((kernel, profile));
    }

    fn timed(&self, kernel: &'static str, _duration: Duration, _method: TimingMethod) {
        self.0.lock().expect("nobody panics with it").push((kernel, None));
    }
}

impl ProfileReport {
    /// Returns the fraction of the time in which the device computed; none if a launch has no device time.
    pub fn utilization(&self) -> Option<f64> {
        let ms: Option<f64> = self.kernels.iter().map(|kernel| kernel.ms).sum();
        ms.filter(|ms| *ms > 0.0 && self.ms > 0.0).map(|ms| (ms / self.ms).min(1.0))
    }
}

impl Profiler {
    /// Starts recording.
    pub fn start() -> Self {
        let launches = Arc::new(Launches::default());
        watch(tick_ms);
        #[cfg(feature = "cuda")]
        super::native::library_times::start();
        Self { start_ms: tick_ms(), watch: LaunchObservation::new(launches.clone()), launches }
    }

    /// Stops recording and returns the profile of `steps` steps, whose results must have been read.
    pub async fn finish(self, steps: u64) -> ProfileReport {
        let ms = tick_ms() - self.start_ms;
        drop(self.watch);
        let launches = std::mem::take(&mut *self.launches.0.lock().expect("nobody panics with it"));
        #[cfg(feature = "cuda")]
        let launches = launches.into_iter().chain(
            super::native::library_times::take().into_iter().map(|(name, time)| (name, Some(time))),
        );
        let mut kernels: BTreeMap<String, KernelTime> = BTreeMap::new();
        for (name, profile) in launches {
            let kernel = short(name);
            let ticks = match profile {
                Some(profile) => profile.resolve().await,
                None => None,
            };
            let ms = ticks.map(|ticks| ticks.duration().as_secs_f64() * 1e3);
            let entry = kernels.entry(kernel.clone()).or_insert(KernelTime {
                kernel,
                calls: 0,
                ms: Some(0.0),
            });
            entry.calls += 1;
            entry.ms = entry.ms.zip(ms).map(|(sum, ms)| sum + ms);
        }
        let operations = watched().into_iter().map(|(name, calls, ms)| KernelTime {
            kernel: name.into(),
            calls,
            ms: Some(ms),
        });
        let mut kernels: Vec<KernelTime> = kernels.into_values().chain(operations).collect();
        kernels.sort_by(|a, b| b.ms.unwrap_or(0.0).total_cmp(&a.ms.unwrap_or(0.0)));
        ProfileReport { steps, ms, kernels }
    }
}

/// Shortens a kernel's name to `operation::Kernel` for ours and to the type's name for burn's.
fn short(name: &str) -> String {
    let path = name.split('<').next().unwrap_or(name);
    let path = path.strip_prefix(concat!(env!("CARGO_PKG_NAME"), "::kernels::"));
    match path {
        Some(path) => {
            let parts: Vec<&str> = path
                .split("::")
                .filter(|part| *part != "gpu" && !part.ends_with("_kernel"))
                .map(|part| part.trim_end_matches("Kernel"))
                .collect();
            parts.join("::")
        }
        None => type_name_format(name, TypeNameFormatLevel::Short),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn kernel_names_are_shortened() {
        let ours = "blankslate::kernels::norm::gpu::forward_kernel::ForwardKernel<f32, Const<4>>";
        assert_eq!(short(ours), "norm::Forward");
        assert_eq!(short("burn_cubecl::kernel::binop::KernelBinop<Add, f32>"), "KernelBinop");
    }
}
