//! The machine that the parts run on.

use crate::process::{command, output};
use serde::Serialize;
use std::fs;

/// Device, driver and processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Name of the first NVIDIA GPU visible to programs; none without `nvidia-smi`.
    pub device: Option<String>,
    pub driver: Option<String>,
    pub compute_capability: Option<String>,
    /// MiB.
    pub memory: Option<u64>,
    /// As nvidia-smi prints it, with the unit.
    pub power_limit: Option<String>,
    /// The same.
    pub highest_clock: Option<String>,
    pub processor: String,
    pub threads: usize,
    pub system: String,
    /// True if the driver is simulated, in which case times mean nothing.
    pub simulated: bool,
}

/// Fields of `nvidia-smi --query-gpu`, in the order of [`parse`].
const FIELDS: &str = "name,driver_version,compute_cap,memory.total,power.limit,clocks.max.sm";

impl Machine {
    /// Detects the GPU, driver and processor of this machine.
    pub fn find(simulated: bool) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let host = Self {
            processor: after(&cpu, "model name").unwrap_or("unknown".into()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            system: after(&release, "PRETTY_NAME").unwrap_or("unknown".into()),
            simulated,
            ..Self::default()
        };
        if simulated {
            return Self { device: Some("simulated".into()), ..host };
        }
        let mut query = command("nvidia-smi");
        query.args([&format!("--query-gpu={FIELDS}"), "--format=csv,noheader"]);
        // nvidia-smi also lists GPUs that this variable hides from CUDA.
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        if let Some(first) = visible.split(',').next().filter(|first| !first.is_empty()) {
            query.arg(format!("--id={first}"));
        }
        match output(&mut query) {
            Ok(text) => parse(&text, host),
            Err(error) => {
                println!("    nvidia-smi does not describe the GPU: {error:#}");
                host
            }
        }
    }

    /// Returns the batch size for GPT-2 124M that fits into memory, with 1,024 tokens per sequence.
    pub fn batch_size(&self) -> usize {
        match self.memory.unwrap_or(u64::MAX) / 1024 {
            0..10 => 2,
            10..20 => 4,
            20..36 => 8,
            _ => 16,
        }
    }
}

/// Parses the first line of nvidia-smi's output.
fn parse(text: &str, host: Machine) -> Machine {
    let mut fields = text.lines().next().unwrap_or_default().split(", ").map(str::to_owned);
    // Values that a GPU does not report are in brackets: [N/A].
    let mut next = || fields.next().filter(|field| !field.is_empty() && !field.starts_with('['));
    let (device, driver, compute_capability) = (next(), next(), next());
    let memory = next().and_then(|memory| memory.split(' ').next()?.parse().ok());
    let (power_limit, highest_clock) = (next(), next());
    Machine { device, driver, compute_capability, memory, power_limit, highest_clock, ..host }
}

/// Returns the value after a name and `:` or `=`, without quotes.
fn after(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':', '=']).trim_matches('"').into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_is_described() {
        let line = "NVIDIA H200, 580.65.06, 9.0, 143771 MiB, 700.00 W, 1980 MHz\nNVIDIA H200, x";
        let machine = parse(line, Machine::default());
        assert_eq!(machine.device.as_deref(), Some("NVIDIA H200"));
        assert_eq!(machine.driver.as_deref(), Some("580.65.06"));
        assert_eq!((machine.memory, machine.batch_size()), (Some(143_771), 16));
        let machine = parse("RTX, 5, 8.9, 24564 MiB, [N/A], 2520 MHz", Machine::default());
        assert_eq!((&machine.power_limit, machine.batch_size()), (&None, 8));
        assert_eq!(machine.highest_clock.as_deref(), Some("2520 MHz"));
        assert_eq!(parse("", Machine::default()), Machine::default());
    }

    #[test]
    fn fields_are_read_without_quotes() {
        let text = "ID=x\nPRETTY_NAME=\"Debian 12\"\nmodel name\t: A processor\n";
        assert_eq!(after(text, "PRETTY_NAME").unwrap(), "Debian 12");
        assert_eq!(after(text, "model name").unwrap(), "A processor");
        assert_eq!(after(text, "missing"), None);
    }
}
