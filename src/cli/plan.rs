//! `blankslate plan`: memory and step time of a training run on many devices.

use std::fs;
use std::path::Path;

use clap::Args;

use super::failure::{CliResult, usage};
use super::flags::{BaseArgs, SettingsArgs};
use super::plan_budget::{self, BudgetArgs, Setup};
use super::plan_report::{Subject, report};
use super::settings::read_settings;
use crate::checkpoint::{CONFIG, from_hf};
use crate::config::{DataConfig, ModelConfig, TrainConfig, preset};
use crate::error::{Error, Result};
use crate::plan::{DEVICES, Hardware, Program, Search, Work, plan};
use crate::run::{GivenSettings, RunConfig};

/// Options of `blankslate plan`. --batch-size and --gradient-checkpointing restrict the search if they are given.
#[derive(Args)]
#[command(allow_negative_numbers = true, args_override_self = true)]
pub struct PlanArgs {
    #[command(flatten)]
    base: BaseArgs,
    /// Model instead of a preset: a config.json of transformers, or the directory that has one. No weights are read
    #[arg(long, value_name = "PATH", conflicts_with = "preset")]
    model: Option<String>,
    /// Number of devices
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1 << 20))]
    gpus: u64,
    /// Kind of device
    #[arg(long, visible_alias = "kind", value_name = "NAME", default_value = "h100", value_parser = DEVICES)]
    gpu: String,
    /// Sequences of a step, those of all devices [default: --batch-size times --grad-accum]
    #[arg(long, value_name = "N", value_parser = count(1 << 30))]
    global_batch: Option<u64>,
    /// Training tokens, to predict the days of training; with a budget, they replace the tokens that the scaling law suggests
    #[arg(long, value_name = "N", value_parser = count(1 << 60))]
    tokens: Option<u64>,
    /// Only layouts with these numbers of replicas, ranks per matrix and stages: some of dp=N,tp=N,pp=N
    #[arg(long, value_name = "PARTS", value_parser = parts)]
    parallel: Option<Parts>,
    /// Only layouts whose replicas divide nothing (0), the optimizer state (1), or the gradients as well (2)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=2))]
    zero: Option<u8>,
    /// Print every ZeRO level, micro-batch and recomputation, instead of the best of each dp, tp and pp
    #[arg(long)]
    all: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    hardware: HardwareArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Values instead of those of the kind of device.
#[derive(Args)]
#[command(next_help_heading = "Devices")]
struct HardwareArgs {
    /// TFLOP/s of a device in the precision of training, at most
    #[arg(long, value_name = "X")]
    peak_flops: Option<f64>,
    /// Share of that which large matrix products reach, up to 1
    #[arg(long, value_name = "X")]
    efficiency: Option<f64>,
    /// GB of memory of a device
    #[arg(long, value_name = "X")]
    memory: Option<f64>,
    /// Share of the memory that is left for tensors, up to 1
    #[arg(long, value_name = "X")]
    usable_memory: Option<f64>,
    /// GB/s between a device and its memory
    #[arg(long, value_name = "X")]
    memory_bandwidth: Option<f64>,
    /// GB/s that a device sends to others of its node
    #[arg(long, value_name = "X")]
    link_bandwidth: Option<f64>,
    /// GB/s that a device sends to other nodes
    #[arg(long, value_name = "X")]
    network_bandwidth: Option<f64>,
    /// Share of each bandwidth that is reached, up to 1
    #[arg(long, value_name = "X")]
    bandwidth_efficiency: Option<f64>,
    /// Microseconds that each step of a collective operation takes in addition
    #[arg(long, value_name = "X")]
    latency: Option<f64>,
    /// Fraction of a backward pass that overlaps with gradient communication, up to 1 [default: 1]
    #[arg(long, value_name = "X")]
    overlap: Option<f64>,
    /// Devices of a node
    #[arg(long, value_name = "N", value_parser = count(1 << 20))]
    per_node: Option<u64>,
}

/// Parts of a layout that are given.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    dp: Option<usize>,
    tp: Option<usize>,
    pp: Option<usize>,
}

/// A parser of numbers from 1 to `most`.
fn count(most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=most)
}

/// Parses `dp=64,tp=8,pp=2`.
fn parts(text: &str) -> std::result::Result<Parts, String> {
    let mut parts = Parts::default();
    for part in text.split(',') {
        let form = || "use some of dp=N,tp=N,pp=N, with numbers from 1".to_string();
        let (name, number) = part.split_once('=').ok_or_else(form)?;
        let place = match name {
            "dp" => &mut parts.dp,
            "tp" => &mut parts.tp,
            "pp" => &mut parts.pp,
            _ => return Err(form()),
        };
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(form)?;
        if place.replace(number).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    Ok(parts)
}

/// Prints the plans.
pub fn run(args: &PlanArgs) -> CliResult<()> {
    let mut given = match &args.base.config {
        Some(path) => vec![read_settings(path).map_err(usage)?],
        None => Vec::new(),
    };
    given.push(args.settings.given(None));
    let config = config(args, &given).map_err(usage)?;
    let hardware = args.hardware.over(Hardware::named(&args.gpu).map_err(usage)?);
    let program = args.hardware.program().map_err(usage)?;
    let is_given = |key: &str| given.iter().any(|given| given.train.contains_key(key));
    let Parts { dp, tp, pp } = args.parallel.unwrap_or_default();
    let search = Search {
        dp,
        tp,
        pp,
        zero: args.zero,
        micro_batch: is_given("batch_size").then_some(config.train.batch_size),
        recompute: is_given("gradient_checkpointing")
            .then_some(config.train.gradient_checkpointing),
        ..Search::all(args.gpus as usize)
    };
    if args.budget.is_given() {
        let global_batch = args.global_batch.map(|examples| examples as usize);
        let (tokens, json) = (args.tokens, args.json);
        let setup = Setup { config, given, hardware, program, search, global_batch, tokens, json };
        return plan_budget::run(&args.budget, setup);
    }
    let RunConfig { name, model, train, data, .. } = &config;
    let global_batch = match args.global_batch {
        Some(examples) => examples as usize,
        None => examples_of_a_step(train).map_err(usage)?,
    };
    let rows = data.kind.rows();
    let work = Work { model, train, seq_len: data.seq_len, rows, global_batch };
    let plans = plan(&work, &hardware, &program, &search).map_err(usage)?;
    let subject = Subject { name, work, hardware, program, tokens: args.tokens };
    report(&subject, plans, args.all, args.json)
}

/// Returns the examples of a step of the settings.
fn examples_of_a_step(train: &TrainConfig) -> Result<usize> {
    let examples = train.batch_size.checked_mul(train.grad_accum);
    examples.filter(|examples| *examples <= 1 << 30).ok_or_else(|| {
        let problem = format!("{} times `grad_accum` is too large", train.batch_size);
        Error::config("batch_size", problem, "use at most 2^30 sequences in a step")
    })
}

/// Returns the run that the arguments describe.
fn config(args: &PlanArgs, given: &[GivenSettings]) -> Result<RunConfig> {
    match &args.model {
        None => {
            let default = if args.budget.is_given() { plan_budget::PRESET } else { "tiny" };
            let name = args.base.preset.as_deref().unwrap_or(default);
            RunConfig::fresh(RunConfig::from_preset(name, preset(name)?), given)
        }
        Some(place) => {
            let model = read_config(place)?;
            let seq_len = model.max_position_embeddings;
            let base = RunConfig {
                name: place.clone(),
                tokenizer: String::new(),
                model,
                train: TrainConfig::default(),
                data: DataConfig { seq_len, ..DataConfig::default() },
                sample_every: 0,
            };
            RunConfig::fine_tuned(base, given)
        }
    }
}

/// Reads a config.json.
fn read_config(place: &str) -> Result<ModelConfig> {
    let path = Path::new(place);
    let path = if path.is_dir() { path.join(CONFIG) } else { path.to_path_buf() };
    let bytes = fs::read(&path).map_err(|error| Error::io(&path, error))?;
    from_hf(&bytes).map_err(|error| error.renamed(|_| path.display().to_string()))
}

impl HardwareArgs {
    /// Returns `hardware` with the given values instead of its own.
    fn over(&self, mut hardware: Hardware) -> Hardware {
        let set = |place: &mut f64, given: Option<f64>, unit: f64| {
            if let Some(value) = given {
                *place = value * unit;
            }
        };
        for peak in [&mut hardware.peak_16, &mut hardware.peak_tf32, &mut hardware.peak_f32] {
            set(peak, self.peak_flops, 1e12);
        }
        set(&mut hardware.efficiency, self.efficiency, 1.0);
        set(&mut hardware.memory, self.memory, 1e9);
        set(&mut hardware.usable, self.usable_memory, 1.0);
        set(&mut hardware.memory_bandwidth, self.memory_bandwidth, 1e9);
        set(&mut hardware.link_bandwidth, self.link_bandwidth, 1e9);
        set(&mut hardware.network_bandwidth, self.network_bandwidth, 1e9);
        set(&mut hardware.bandwidth_efficiency, self.bandwidth_efficiency, 1.0);
        set(&mut hardware.latency, self.latency, 1e-6);
        hardware.per_node = self.per_node.map_or(hardware.per_node, |number| number as usize);
        hardware
    }

    /// Returns blankslate with the given overlap.
    fn program(&self) -> Result<Program> {
        let overlap = self.overlap.unwrap_or(Program::BLANKSLATE.overlap);
        if !(0.0..=1.0).contains(&overlap) {
            let problem = format!("{overlap} is not a share");
            return Err(Error::config("overlap", problem, "use a number from 0 to 1"));
        }
        Ok(Program { overlap, ..Program::BLANKSLATE })
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_of_a_layout_are_named() {
        let all = parts("pp=2,dp=64,tp=8").unwrap();
        assert_eq!((all.dp, all.tp, all.pp), (Some(64), Some(8), Some(2)));
        let one = parts("dp=3").unwrap();
        assert_eq!((one.dp, one.tp, one.pp), (Some(3), None, None));
        for wrong in ["", "dp", "dp=0", "cp=2", "dp=2,", "dp=x"] {
            assert!(parts(wrong).unwrap_err().contains("use some of"), "{wrong}");
        }
        assert_eq!(parts("dp=2,dp=2").unwrap_err(), "dp is given twice");
    }
}
