//! Memory of this program, and memory, power and utilization of its NVIDIA GPU.

use std::env;

use nvml_wrapper::Nvml;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::platform::DeviceInfo;

/// Measurements at one time; none for values that cannot be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Bytes of this program that are in memory.
    pub host_memory: Option<u64>,
    /// Bytes in use on the GPU, by all programs.
    pub device_memory: Option<u64>,
    /// Watts that the GPU draws.
    pub device_power: Option<f64>,
    /// Share of the last second or less in which the GPU was busy, from 0 to 1.
    pub device_busy: Option<f64>,
}

/// Available measurements. NVML, the library of NVIDIA's driver, is loaded when this is created.
pub struct Sensors {
    system: System,
    process: Option<Pid>,
    nvml: Option<(Nvml, Place)>,
}

/// Identification of the GPU in NVML.
enum Place {
    Index(u32),
    Uuid(String),
}

impl Sensors {
    /// Prepares to measure this program and `device`.
    pub fn new(device: &DeviceInfo) -> Self {
        let process = sysinfo::get_current_pid().ok();
        let nvml = || {
            let nvml = Nvml::init().ok()?;
            let place = place(device, &nvml)?;
            Some((nvml, place))
        };
        Self { system: System::new(), process, nvml: nvml() }
    }

    /// Measures.
    pub fn read(&mut self) -> Readings {
        let mut readings = Readings { host_memory: self.host_memory(), ..Readings::default() };
        let Some((nvml, place)) = &self.nvml else { return readings };
        let gpu = match place {
            Place::Index(index) => nvml.device_by_index(*index),
            Place::Uuid(uuid) => nvml.device_by_uuid(uuid.as_str()),
        };
        if let Ok(gpu) = gpu {
            readings.device_memory = gpu.memory_info().ok().map(|memory| memory.used);
            readings.device_power = gpu.power_usage().ok().map(|power| f64::from(power) / 1e3);
            let busy = gpu.utilization_rates().ok();
            readings.device_busy = busy.map(|rates| f64::from(rates.gpu) / 100.0);
        }
        readings
    }

    fn host_memory(&mut self) -> Option<u64> {
        let own = [self.process?];
        let kind = ProcessRefreshKind::nothing().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&own), true, kind);
        Some(self.system.process(own[0])?.memory())
    }
}

/// Returns the identification of `device` in NVML: by its index among the devices visible to CUDA, or by its name if that is
/// unique.
fn place(device: &DeviceInfo, nvml: &Nvml) -> Option<Place> {
    if let Some(index) = device.name.strip_prefix("cuda") {
        let index: usize = index.trim_start_matches(':').parse().unwrap_or(0);
        return place_of(index, env::var("CUDA_VISIBLE_DEVICES").ok().as_deref());
    }
    let is_it = |index: &u32| {
        let name = nvml.device_by_index(*index).and_then(|gpu| gpu.name());
        name.is_ok_and(|name| device.adapter.contains(&name))
    };
    let mut found = (0..nvml.device_count().ok()?).filter(is_it);
    match (found.next(), found.next()) {
        (Some(index), None) => Some(Place::Index(index)),
        _ => None,
    }
}

/// Returns the identification of CUDA's device `index`, given the visible devices.
fn place_of(index: usize, visible: Option<&str>) -> Option<Place> {
    let Some(visible) = visible.filter(|visible| !visible.is_empty()) else {
        return Some(Place::Index(index as u32));
    };
    let own = visible.split(',').nth(index)?.trim();
    match own.parse() {
        Ok(index) => Some(Place::Index(index)),
        Err(_) if own.starts_with("GPU-") => Some(Place::Uuid(own.into())),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_found_among_the_visible_ones() {
        let text = |index, visible| match place_of(index, visible) {
            Some(Place::Index(index)) => index.to_string(),
            Some(Place::Uuid(uuid)) => uuid,
            None => "none".into(),
        };
        assert_eq!(text(1, None), "1");
        assert_eq!(text(1, Some("")), "1");
        assert_eq!(text(1, Some("4,6")), "6");
        assert_eq!(text(0, Some("GPU-8a,GPU-9b")), "GPU-8a");
        assert_eq!(text(2, Some("4,6")), "none");
        assert_eq!(text(0, Some("MIG-1")), "none");
    }

    #[test]
    fn the_memory_of_this_program_is_measured() {
        let device = DeviceInfo {
            name: "cpu".into(),
            adapter: "a processor".into(),
            software: false,
            reason: None,
            room: None,
        };
        let readings = Sensors::new(&device).read();
        assert!(readings.host_memory.unwrap() > 1 << 20);
        assert_eq!(readings.device_power, None);
    }
}
