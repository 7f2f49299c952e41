//! Peak bandwidth and arithmetic of a device: from NVIDIA's data sheets, or measured.

use crate::common::{Outcome, spread};
use crate::device::Place;
use crate::timing::time;
use blankslate::config::Precision;
use blankslate::plan::Hardware;
use burn::tensor::{Device, Tensor};
use clap::Args;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

/// A card as its data sheet describes it.
#[derive(Clone, Copy)]
struct Card {
    gigabytes_per_second: f64,
    /// TFLOP/s without tensor cores.
    f32: f64,
    /// TFLOP/s of tensor cores, dense, with sums in f32.
    tf32: f64,
    /// The same for f16 and bf16.
    half: f64,
}

/// Names that the driver gives the devices of [`Hardware`].
const PLANNED: [(&str, &str); 4] = [
    ("NVIDIA A100-SXM4-80GB", "a100"),
    ("NVIDIA H100 80GB HBM3", "h100"),
    ("NVIDIA H200", "h200"),
    ("NVIDIA B200", "b200"),
];

const A100: Card = Card { gigabytes_per_second: 1555.0, f32: 19.5, tf32: 156.0, half: 312.0 };

/// Names and figures of other cards, from NVIDIA's data sheets "A100" and "H100" and the whitepaper "Ada GPU architecture".
const CARDS: [(&str, Card); 6] = [
    ("NVIDIA A100-SXM4-40GB", A100),
    ("NVIDIA A100-PCIE-40GB", A100),
    ("NVIDIA A100 80GB PCIe", Card { gigabytes_per_second: 1935.0, ..A100 }),
    (
        "NVIDIA H100 PCIe",
        Card { gigabytes_per_second: 2000.0, f32: 51.0, tf32: 378.0, half: 756.0 },
    ),
    ("NVIDIA H100 NVL", Card { gigabytes_per_second: 3900.0, f32: 60.0, tf32: 417.5, half: 835.5 }),
    (
        "NVIDIA GeForce RTX 4090",
        Card { gigabytes_per_second: 1008.0, f32: 82.6, tf32: 82.6, half: 165.2 },
    ),
];

/// Peaks of the device given on the command line.
#[derive(Args, Clone, Default)]
pub struct Given {
    /// The device's peak in TFLOP/s at this precision [default: the data sheet's, if it is known]
    #[arg(long, value_name = "TFLOPS")]
    peak: Option<f64>,
    /// The device's bandwidth in GB/s [default: the data sheet's, or else that of a copy]
    #[arg(long, value_name = "GBPS")]
    bandwidth: Option<f64>,
}

/// Peaks of a device.
#[derive(Clone, Copy)]
pub struct Peaks {
    pub bytes_per_second: f64,
    /// In the precision of the benchmark; none if it is not known.
    pub flops_per_second: Option<f64>,
    /// In f32, for what is computed in f32 whatever the precision.
    pub f32_flops_per_second: Option<f64>,
    /// Source of the bandwidth.
    source: &'static str,
}

impl Peaks {
    /// Looks up the peaks of a device, or measures its bandwidth by copying `numbers` numbers.
    pub fn of(place: &Place, given: &Given, numbers: usize) -> Outcome<Self> {
        let card = find(&place.info.adapter);
        let (bytes_per_second, source) = match (given.bandwidth, card) {
            (Some(bandwidth), _) => (bandwidth * 1e9, "given"),
            (None, Some(card)) => (card.gigabytes_per_second * 1e9, "data sheet"),
            (None, None) if place.info.name == "cpu" => (read_bandwidth(), "measured"),
            (None, None) => (copy_bandwidth(&place.device, numbers)?, "measured"),
        };
        let peak = |precision| flops_per_second(place, precision, given);
        Ok(Self {
            bytes_per_second,
            flops_per_second: peak(place.precision),
            f32_flops_per_second: peak(Precision::F32),
            source,
        })
    }

    /// Describes the peaks in words.
    pub fn describe(&self) -> String {
        let arithmetic = match self.flops_per_second {
            Some(flops) => format!(", {:.1} TFLOP/s", flops / 1e12),
            None => String::new(),
        };
        format!("peaks: {:.1} GB/s ({}){arithmetic}", self.bytes_per_second / 1e9, self.source)
    }

    /// Describes the peaks as JSON.
    pub fn json(&self) -> Value {
        json!({
            "bytes_per_second": self.bytes_per_second, "source": self.source,
            "flops_per_second": self.flops_per_second,
        })
    }
}

/// Returns the peak of a device in a precision, if it is known.
pub fn flops_per_second(place: &Place, precision: Precision, given: &Given) -> Option<f64> {
    let card = find(&place.info.adapter).map(|card| card.peak(precision));
    let given = given.peak.filter(|_| precision == place.precision);
    given.or(card).map(|peak| peak * 1e12)
}

impl Card {
    fn peak(&self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.f32,
            Precision::Tf32 => self.tf32,
            Precision::F16 | Precision::Bf16 => self.half,
        }
    }
}

/// Finds a card by the whole name of its adapter, since names that begin alike belong to different cards. Vulkan adds interface
/// and driver in parentheses.
fn find(adapter: &str) -> Option<Card> {
    let name = adapter.split(" (").next()?;
    if let Some((_, device)) = PLANNED.iter().find(|(card, _)| *card == name) {
        let hardware = Hardware::named(device).ok()?;
        return Some(Card {
            gigabytes_per_second: hardware.memory_bandwidth / 1e9,
            f32: hardware.peak_f32 / 1e12,
            tf32: hardware.peak_tf32 / 1e12,
            half: hardware.peak_16 / 1e12,
        });
    }
    CARDS.iter().find(|(card, _)| *card == name).map(|(_, card)| *card)
}

/// Memory bandwidth of a GPU: bytes that a copy reads and writes per second, the best of several attempts.
fn copy_bandwidth(device: &Device, numbers: usize) -> Outcome<f64> {
    let from = Tensor::<1>::ones([numbers], device);
    let mut times = Vec::new();
    for round in 0..=8 {
        let timed = time(device, || Ok(from.clone().mul_scalar(1.0)))?;
        times.extend((round > 0).then_some(timed.seconds));
    }
    Ok(2.0 * 4.0 * numbers as f64 / spread(times)[0])
}

/// Memory bandwidth of the processor: bytes that all threads together read per second, the best of several attempts.
fn read_bandwidth() -> f64 {
    let values = vec![1u64; 1 << 26];
    let read = || {
        let begun = Instant::now();
        let sums = values.par_chunks(1 << 16).map(|part| part.iter().sum::<u64>());
        assert_eq!(sums.sum::<u64>(), values.len() as u64);
        size_of_val(&values[..]) as f64 / begun.elapsed().as_secs_f64()
    };
    (0..8).map(|_| read()).fold(0.0, f64::max)
}
