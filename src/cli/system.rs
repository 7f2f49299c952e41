//! System metrics during training: memory, power, model FLOPs utilization, and the time that training waits for files.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::{Precision, TrainConfig};
use crate::plan::{DEVICES, Hardware};
use crate::platform::{DeviceInfo, Readings, Sensors};
use crate::run::Run;

/// Time between two measurements.
const EVERY: Duration = Duration::from_secs(5);

/// Measures the machine while training runs.
pub struct Machine {
    sensors: Sensors,
    measured: Instant,
    /// Time that training waited for files since the last measurement, and the number of steps.
    waited: Cell<Duration>,
    steps: u64,
    flops_per_token: f64,
    /// Peak of all devices of the run together, if their kind is known.
    peak: Option<f64>,
}

impl Machine {
    /// Prepares to measure `device`, on which `run` trains.
    pub fn new(device: &DeviceInfo, run: &Run) -> Self {
        let ranks = run.mesh().all.size() as f64;
        let TrainConfig { precision, .. } = run.config.train;
        Self {
            sensors: Sensors::new(device),
            measured: Instant::now(),
            waited: Cell::default(),
            steps: 0,
            flops_per_token: run.estimate().train_flops_per_token as f64,
            peak: peak(&device.adapter, precision).map(|peak| peak * ranks),
        }
    }

    /// Adds time that training waited for files since `since`.
    pub fn add_waiting(&self, since: Instant) {
        self.waited.set(self.waited.get() + since.elapsed());
    }

    /// Counts a step, and returns an event with the measurements if they are due.
    pub fn step(&mut self, step: u64, tokens_per_second: f64) -> Option<Value> {
        self.steps += 1;
        if self.measured.elapsed() < EVERY {
            return None;
        }
        self.measured = Instant::now();
        let steps = std::mem::take(&mut self.steps) as f64;
        let waited_ms = self.waited.take().as_secs_f64() * 1e3;
        let Readings { host_memory, device_memory, device_power, device_busy } =
            self.sensors.read();
        let flops = tokens_per_second * self.flops_per_token;
        Some(json!({
            "type": "system", "step": step, "tokens_per_second": tokens_per_second,
            "flops_per_second": flops, "mfu": self.peak.map(|peak| flops / peak),
            "exposed_io_ms": waited_ms / steps, "host_memory": host_memory,
            "device_memory": device_memory, "device_power": device_power, "device_busy": device_busy,
        }))
    }
}

/// Returns the peak of the adapter, if it is of a kind whose data sheet is known.
fn peak(adapter: &str, precision: Precision) -> Option<f64> {
    let adapter = adapter.to_lowercase();
    // RTX A1000 is no A100.
    let is_it = |name: &&&str| {
        let mut after = adapter.split(**name).skip(1);
        after.any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let name = DEVICES.iter().filter(|name| **name != "cpu").find(is_it)?;
    let peak = Hardware::named(name).ok()?.peak(precision);
    (peak > 0.0).then_some(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_the_data_sheet() {
        let bf16 = |adapter| peak(adapter, Precision::Bf16);
        assert_eq!(bf16("NVIDIA H100 80GB HBM3"), Some(989.4e12));
        assert_eq!(bf16("NVIDIA A100-SXM4-80GB"), Some(312e12));
        assert_eq!(bf16("AMD EPYC, 16 threads"), None);
        assert_eq!(bf16("NVIDIA RTX A1000"), None);
    }
}
