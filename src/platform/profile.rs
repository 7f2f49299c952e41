//! What a device spends its time on: a GPU kernel by kernel, the CPU operation by operation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cubecl::config::{TypeNameFormatLevel, type_name_format};
use cubecl::logging::{
    Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest,
};
use serde::{Deserialize, Serialize};

use super::tick_ms;
use crate::kernels::{watch, watched};

/// What one kernel of a GPU, or one operation of the CPU, took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KernelTime {
    /// Its name in the source.
    pub kernel: String,
    /// How often it was launched.
    pub calls: u64,
    /// Milliseconds on the device, all calls together; none where the device cannot tell.
    pub ms: Option<f64>,
}

/// What a device spent its time on during some training steps, with no evaluation, save or sample among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProfileReport {
    /// How many steps.
    pub steps: u64,
    /// Milliseconds they took by the clock.
    pub ms: f64,
    /// What ran, the longest first.
    pub kernels: Vec<KernelTime>,
}

/// Watches every launch of the process, and this thread's work on the CPU, from its making to
/// [`Profiler::finish`].
///
/// Kernels go on running back to back; their times are taken by the device.
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
        // A host's clock around a launch says nothing of the device.
        let profile = (profile.timing_method() == TimingMethod::Device).then_some(profile);
        self.0.lock().expect("nobody panics with it").push((kernel, profile));
    }

    fn timed(&self, kernel: &'static str, _duration: Duration, _method: TimingMethod) {
        self.0.lock().expect("nobody panics with it").push((kernel, None));
    }
}

impl ProfileReport {
    /// The share of the time in which the device computed; none where it could not tell of every launch.
    pub fn busy(&self) -> Option<f64> {
        let ms: Option<f64> = self.kernels.iter().map(|kernel| kernel.ms).sum();
        ms.filter(|ms| *ms > 0.0 && self.ms > 0.0).map(|ms| (ms / self.ms).min(1.0))
    }
}

impl Profiler {
    /// Begins to watch.
    pub fn start() -> Self {
        let launches = Arc::new(Launches::default());
        watch(tick_ms);
        Self { start_ms: tick_ms(), watch: LaunchObservation::new(launches.clone()), launches }
    }

    /// Ends after `steps` steps whose results were waited for, and tells what was seen.
    pub async fn finish(self, steps: u64) -> ProfileReport {
        let ms = tick_ms() - self.start_ms;
        drop(self.watch);
        let launches = std::mem::take(&mut *self.launches.0.lock().expect("nobody panics with it"));
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

/// A kernel's name without its types: of ours with its operation, of burn's its own.
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
    fn names_are_short() {
        let ours = "blankslate::kernels::norm::gpu::forward_kernel::ForwardKernel<f32, Const<4>>";
        assert_eq!(short(ours), "norm::Forward");
        assert_eq!(short("burn_cubecl::kernel::binop::KernelBinop<Add, f32>"), "KernelBinop");
    }
}
