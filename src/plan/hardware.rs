//! Speed and memory of devices, and bandwidths between them. docs/plan.md has the source of each figure.

use serde::Serialize;

use crate::config::Precision;
use crate::error::{Error, Result};

/// Names of the known devices.
pub const DEVICES: [&str; 5] = ["a100", "h100", "h200", "b200", "cpu"];

/// A type of device, in nodes connected by a network. Every value is an assumption that the caller may change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hardware {
    /// Name of the device.
    pub name: String,
    /// Peak FLOP/s of matrix products in 16 bits.
    pub peak_16: f64,
    /// As `peak_16`, in TF32.
    pub peak_tf32: f64,
    /// As `peak_16`, in f32.
    pub peak_f32: f64,
    /// Fraction of the peak that large matrix products reach.
    pub efficiency: f64,
    /// Bytes of memory.
    pub memory: f64,
    /// Fraction of the memory available for tensors; the driver's context and fragmentation take the rest.
    pub usable: f64,
    /// Bytes per second between a device and its memory.
    pub memory_bandwidth: f64,
    /// Bytes per second that a device sends to others of its node, in one direction.
    pub link_bandwidth: f64,
    /// Bytes per second that a device sends to other nodes, in one direction.
    pub network_bandwidth: f64,
    /// Fraction of each bandwidth that is reached.
    pub bandwidth_efficiency: f64,
    /// Latency of each step of a collective operation, in seconds.
    pub latency: f64,
    /// Maximum power of a device, in watts.
    pub watts: f64,
    /// Devices per node.
    pub per_node: usize,
    /// True if the device shares the memory of the program, in which checkpoints are packed.
    pub shared: bool,
}

/// Assumed fraction of the bandwidths, for all devices.
const BANDWIDTH_EFFICIENCY: f64 = 0.8;
/// Assumed seconds per step of a collective operation, for all devices.
const LATENCY: f64 = 10e-6;
/// Assumed fraction of a GPU's memory that is available.
const USABLE: f64 = 0.9;

impl Hardware {
    /// Returns the device with a name. For `cpu`, all figures are 0 until they are set.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        let gpu = |flops: [f64; 3], efficiency, memory: f64, bandwidths: [f64; 3], watts| Self {
            name: name.into(),
            peak_16: flops[0] * 1e12,
            peak_tf32: flops[1] * 1e12,
            peak_f32: flops[2] * 1e12,
            efficiency,
            memory: memory * 1e9,
            usable: USABLE,
            memory_bandwidth: bandwidths[0] * 1e9,
            link_bandwidth: bandwidths[1] * 1e9,
            network_bandwidth: bandwidths[2] * 1e9,
            bandwidth_efficiency: BANDWIDTH_EFFICIENCY,
            latency: LATENCY,
            watts,
            per_node: 8,
            shared: false,
        };
        Ok(match name {
            "a100" => gpu([312.0, 156.0, 19.5], AMPERE, 80.0, [2039.0, 300.0, 25.0], 400.0),
            "h100" => gpu([989.4, 494.7, 66.9], HOPPER, 80.0, [3350.0, 450.0, 50.0], 700.0),
            "h200" => gpu([989.4, 494.7, 66.9], HOPPER, 141.0, [4800.0, 450.0, 50.0], 700.0),
            "b200" => gpu([2250.0, 1100.0, 80.0], HOPPER, 180.0, [8000.0, 900.0, 50.0], 1000.0),
            "cpu" => Self {
                efficiency: 1.0,
                usable: 1.0,
                bandwidth_efficiency: 1.0,
                per_node: 1,
                shared: true,
                ..gpu([0.0; 3], 1.0, 0.0, [0.0; 3], 0.0)
            },
            _ => {
                let problem = format!("there is no device `{name}`");
                let remedy = format!("use one of {}", DEVICES.join(", "));
                return Err(Error::config("gpu", problem, remedy));
            }
        })
    }

    /// Returns the peak FLOP/s of matrix products in `precision`.
    pub fn peak(&self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.peak_f32,
            Precision::Tf32 => self.peak_tf32,
            Precision::F16 | Precision::Bf16 => self.peak_16,
        }
    }

    /// Returns the bytes of memory that a program can use.
    pub fn room(&self) -> f64 {
        self.memory * self.usable
    }

    /// Checks the values that a run on `devices` devices needs.
    ///
    /// # Errors
    /// A value is missing or out of range.
    pub fn validate(&self, precision: Precision, devices: usize) -> Result<()> {
        let has_links = devices > 1 && self.per_node > 1;
        let has_network = devices > self.per_node;
        let needed = [
            ("peak_flops", true, self.peak(precision), "the TFLOP/s of a device"),
            ("memory", true, self.memory, "the GB of a device's memory"),
            ("memory_bandwidth", true, self.memory_bandwidth, "the GB/s of a device's memory"),
            (
                "link_bandwidth",
                has_links,
                self.link_bandwidth,
                "the GB/s between devices of a node",
            ),
            ("network_bandwidth", has_network, self.network_bandwidth, "the GB/s between nodes"),
            ("per_node", true, self.per_node as f64, "the devices of a node"),
        ];
        for (key, is_needed, value, what) in needed {
            if is_needed && !(value > 0.0 && value.is_finite()) {
                let problem = match value == 0.0 {
                    true => format!("it is not known for `{}`", self.name),
                    false => format!("{value} is out of range"),
                };
                return Err(Error::config(key, problem, format!("give {what}")));
            }
        }
        let shares = [
            ("efficiency", self.efficiency),
            ("usable_memory", self.usable),
            ("bandwidth_efficiency", self.bandwidth_efficiency),
        ];
        for (key, value) in shares {
            if !(value > 0.0 && value <= 1.0) {
                let problem = format!("{value} is not a share");
                return Err(Error::config(key, problem, "use a number above 0 and at most 1"));
            }
        }
        if !(self.latency >= 0.0 && self.latency.is_finite()) {
            let problem = format!("{} is out of range", self.latency * 1e6);
            return Err(Error::config("latency", problem, "use 0 or more microseconds"));
        }
        Ok(())
    }
}

/// Fraction of the peak in large products on Ampere, fitted to half of the rows of Megatron-LM's table 1 (docs/plan.md).
const AMPERE: f64 = 0.7;
/// As [`AMPERE`], on Hopper: fitted to two rows of llm-foundry's table, and assumed for Blackwell.
const HOPPER: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gpu_is_complete_and_a_cpu_asks_for_what_it_lacks() {
        for name in DEVICES {
            let hardware = Hardware::named(name).unwrap();
            for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
                assert_eq!(hardware.validate(precision, 16).is_ok(), name != "cpu", "{name}");
            }
        }
        let words = Hardware::named("v100").unwrap_err().to_string();
        assert!(words.contains("use one of a100, h100, h200, b200, cpu"), "{words}");
        let cpu = Hardware::named("cpu").unwrap();
        let words = cpu.validate(Precision::F32, 1).unwrap_err().to_string();
        assert!(words.contains("give the TFLOP/s of a device"), "{words}");
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let h100 = Hardware::named("h100").unwrap();
        let refused =
            |hardware: Hardware| hardware.validate(Precision::Bf16, 1).unwrap_err().to_string();
        assert!(refused(Hardware { efficiency: 1.5, ..h100.clone() }).contains("efficiency"));
        assert!(refused(Hardware { usable: 0.0, ..h100.clone() }).contains("usable_memory"));
        assert!(refused(Hardware { memory: f64::NAN, ..h100.clone() }).contains("memory"));
        assert!(refused(Hardware { latency: -1.0, ..h100 }).contains("latency"));
    }
}
