//! Command line of `cargo xtask bench`.

use clap::{Args, ValueEnum};
use std::fmt;
use std::process::Command;

#[derive(Args)]
pub struct Options {
    /// Arguments for --train, --decode, --kernels and --tokenizer
    #[arg(last = true, value_name = "ARGS")]
    pub rest: Vec<String>,
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    pub driver: DriverOptions,
}

/// The benchmarks, each chosen by a flag.
#[derive(Args, Clone, Copy, Default, PartialEq, Eq)]
#[command(next_help_heading = "Benchmarks")]
pub struct Chosen {
    /// Training steps natively, beside PyTorch ($PYTHON: an interpreter that has it)
    #[arg(long)]
    pub train: bool,
    /// Decoded tokens per second natively, beside PyTorch
    #[arg(long)]
    pub decode: bool,
    /// Each kernel natively, beside what memory and arithmetic of the device allow
    #[arg(long)]
    pub kernels: bool,
    /// Tokenizer training and encoding, beside tokenizers, tiktoken-rs and rustbpe
    #[arg(long)]
    pub tokenizer: bool,
    /// Resident memory over 2,000 steps of `tiny`, on the CPU and on Vulkan
    #[arg(long)]
    pub memory: bool,
    /// Training steps in Chromium, beside the peers in ../shared/peers
    #[arg(long)]
    pub browser: bool,
    /// Training steps in Node with Dawn (Chromium's WebGPU) on this machine's GPU, beside the same peers
    #[arg(long)]
    pub dawn: bool,
    /// Matrix products in Chromium, beside the same peers
    #[arg(long)]
    pub matmul: bool,
    /// Decoded tokens per second of a 124M model in Chromium, beside transformers.js ($PYTHON: needs optimum-onnx)
    #[arg(long)]
    pub decode_tab: bool,
    /// Seconds from opening the page to its first step and first sample
    #[arg(long)]
    pub first_visit: bool,
    /// Lighthouse scores for a desktop and a phone
    #[arg(long)]
    pub lighthouse: bool,
}

impl Chosen {
    const ALL: Self = Self {
        train: true,
        decode: true,
        kernels: true,
        tokenizer: true,
        memory: true,
        browser: true,
        dawn: true,
        matmul: true,
        decode_tab: true,
        first_visit: true,
        lighthouse: true,
    };
}

impl Options {
    /// The benchmarks to run: all of them if no flag was given.
    pub fn chosen(&self) -> Chosen {
        if self.chosen == Chosen::default() { Chosen::ALL } else { self.chosen }
    }
}

/// Options of the benchmarks that Node drives.
#[derive(Args)]
#[command(next_help_heading = "Options of the benchmarks in Chromium and Dawn")]
pub struct DriverOptions {
    /// Rounds; contestants alternate within each
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub rounds: u32,
    /// Model to train
    #[arg(long, value_enum, default_value_t = ModelSize::Tiny)]
    pub config: ModelSize,
    /// Comma-separated list of jaxjs, tfjs, nanogpt, torch
    #[arg(long, value_name = "LIST")]
    pub peers: Option<String>,
    /// WebGPU adapter: `swiftshader` (software), or `default` for this machine's GPU
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Training steps per run
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Steps before the measured ones
    #[arg(long, value_name = "N")]
    warmup: Option<u32>,
    /// Limit of one run
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Steps between two readings of the loss
    #[arg(long, value_name = "N")]
    read_every: Option<u32>,
}

/// Configurations of the drivers in `benches/` and ../shared/peers.
#[derive(Clone, Copy, ValueEnum)]
pub enum ModelSize {
    Tiny,
    Small,
    Char,
}

impl fmt::Display for ModelSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Char => "char",
        })
    }
}

impl DriverOptions {
    /// Appends `--rounds`.
    pub fn pass_rounds(&self, node: &mut Command) {
        node.args(["--rounds", &self.rounds.to_string()]);
    }

    /// Appends `--adapter` if it was given.
    pub fn pass_adapter(&self, node: &mut Command) {
        node.args(self.adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
    }

    /// Appends `--config` and the numbers that were given.
    pub fn pass_training(&self, node: &mut Command) {
        node.args(["--config", &self.config.to_string()]);
        let numbers = [
            ("--steps", self.steps),
            ("--warmup", self.warmup),
            ("--timeout", self.timeout),
            ("--read-every", self.read_every),
        ];
        for (name, number) in numbers {
            node.args(number.iter().flat_map(|number| [name.to_owned(), number.to_string()]));
        }
    }
}
