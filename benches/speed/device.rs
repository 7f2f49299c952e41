//! The device that a benchmark runs on.

use crate::common::{Outcome, cpu_name};
use blankslate::config::{Precision, Preset, preset};
use blankslate::kernels::precision::require;
use blankslate::platform::{DeviceInfo, block_on, open_device};
use burn::tensor::Device;
use serde_json::{Value, json};

/// A device and the precision to compute in.
pub struct Place {
    pub device: Device,
    pub info: DeviceInfo,
    pub precision: Precision,
}

impl Place {
    /// Opens a device; by default, precision is bf16 on CUDA and f32 elsewhere.
    pub fn open(name: &str, precision: Option<&str>) -> Outcome<Self> {
        let precision = match precision {
            None if is_cuda(name) => Precision::Bf16,
            None => Precision::F32,
            Some(name) => serde_json::from_value(name.into())
                .map_err(|error| format!("--precision {name}: {error}"))?,
        };
        let (device, info) = block_on(open_device(name))?;
        require(precision, &device)?;
        Ok(Self { device, info, precision })
    }

    /// Describes device and processor in words.
    pub fn describe(&self) -> String {
        let DeviceInfo { name, adapter, reason, .. } = &self.info;
        let reason = reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
        let threads = rayon::current_num_threads();
        format!("blankslate on {name} ({adapter}{reason}); CPU: {}, {threads} threads", cpu_name())
    }

    /// Describes device and processor as JSON.
    pub fn json(&self) -> Value {
        json!({
            "device": self.info, "precision": self.precision,
            "cpu": cpu_name(), "threads": rayon::current_num_threads(),
        })
    }
}

/// Returns the preset of this name; by default, nanoGPT's CPU configuration on the CPU, and GPT-2 124M elsewhere.
pub fn preset_for(device: &str, given: Option<&str>) -> Outcome<Preset> {
    let default = if device == "cpu" { "small" } else { "gpt2" };
    Ok(preset(given.unwrap_or(default))?)
}

/// Returns true for the name of an NVIDIA GPU.
pub fn is_cuda(name: &str) -> bool {
    name.starts_with("cuda")
}
