//! `cargo xtask gpu-day`: tests and benchmarks on one NVIDIA GPU, in ten minutes.
//!
//! A kit ([`kit`], made by [`pack`]) has all required files, so that the machine with the GPU needs no compiler. The
//! [`parts`] are runs of one program ([`runner`]), each with a time limit. Their output is checked ([`verdict`],
//! [`training`]) and written into a [`report`].

mod day;
mod kit;
mod machine;
mod markdown;
mod pack;
mod parts;
mod report;
mod runner;
mod training;
mod verdict;

use crate::cuda::{Gpu, Simulation};
use crate::process::{command, failure, output, step};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use clap::Args;
use day::Day;
use kit::Kit;
use machine::Machine;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Text below the options in `--help`, the only documentation in the kit.
const AFTER_HELP: &str = "\
Without --kit, it builds with the feature `cuda` first; that time does not count. PyTorch with CUDA (in the interpreter $PYTHON, or \
python3) and a Vulkan driver are compared with if they are there, and skipped otherwise. The report is in report.md and report.json, \
rewritten after every part; logs/ has what the programs printed. The status is 0 unless a part \
failed, was ended at its limit, or found no time left.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// Only build the kit and pack it into a file, for a machine with a GPU
    #[arg(long, conflicts_with_all = ["kit", "driver", "dry_run", "minutes", "only", "out"])]
    pack: bool,
    /// Run the kit in this folder instead of building one
    #[arg(long, value_name = "DIR", conflicts_with = "text")]
    kit: Option<PathBuf>,
    /// Folder of a cargo project that builds a simulated libcuda.so; used where there is no NVIDIA GPU
    #[arg(long, value_name = "DIR")]
    driver: Option<PathBuf>,
    /// Run small models for a few steps, to test every part without measuring
    #[arg(long)]
    dry_run: bool,
    /// Total minutes; the time limits of the parts are scaled in proportion
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,
    /// Text for shakespeare_char, preferably tiny Shakespeare [default: the plays in assets/text]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Run only these parts (may be repeated, or a comma-separated list)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<parts::Name>,
    /// Folder for the report, which must not exist [default: gpu-day-DATE here or, with a repository, in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds a kit, runs one, or both.
pub fn command_line(repo: &Repo, options: &Options) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "gpu-day runs on Linux only");
    if options.pack {
        let kit = pack::pack(repo, options.text.as_deref())?;
        let file = step("pack it", || pack::archive(&kit))?;
        println!(
            "copy {} to the machine with the card; there: tar -xzf {} && gpu-day/run.sh",
            file.display(),
            file.file_name().unwrap_or_default().to_string_lossy()
        );
        return Ok(());
    }
    // Checked before the long build: an existing report is not replaced, and a GPU is required.
    if let Some(out) = options.out.as_ref().filter(|out| out.exists()) {
        let why = format!("{} exists", out.display());
        return Err(failure(why, "name another folder with --out"));
    }
    let gpu = match (&options.kit, &options.driver) {
        (Some(_), None) => None,
        (_, driver) => Some(step("find a GPU", || Gpu::find(repo, driver.as_deref()))?),
    };
    let kit = match &options.kit {
        Some(folder) => Kit::open(folder)?,
        None => pack::pack(repo, options.text.as_deref())?,
    };
    let stamp = output(command("date").args(["-u", "+%Y%m%d-%H%M%S"]))?;
    // Not in the kit, which a rebuild replaces.
    let parent = if options.kit.is_some() { Path::new("") } else { &repo.target };
    let out = options.out.clone().unwrap_or_else(|| parent.join(format!("gpu-day-{stamp}")));
    let out = std::path::absolute(out)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let machine = Machine::find(matches!(gpu, Some(Gpu::Simulated(_))));
    let day = Day {
        started: stamp,
        out: &out,
        minutes: options.minutes,
        dry_run: options.dry_run,
        only: &options.only,
        program: &|task, log| program(&kit, &out, gpu.as_ref(), task, log),
    };
    let all = parts::all(&kit, &machine, options.dry_run, &out.join("runs"));
    day.run(machine, kit.identity.clone(), all)
}

/// Prepares the command of a task.
fn program(
    kit: &Kit,
    out: &Path,
    gpu: Option<&Gpu>,
    task: &parts::Task,
    log: &Path,
) -> Result<Command> {
    let paths = kit.paths();
    let mut program = command(paths.program());
    program
        .args(&task.arguments)
        .env("CUDA_PATH", paths.toolkit())
        // Both caches, ours and the driver's, start empty, as on a new machine.
        .env("XDG_CACHE_HOME", out.join("cache"))
        .env("CUDA_CACHE_PATH", out.join("cache/driver"));
    if let Some(gpu) = gpu {
        gpu.prepare(&mut program, Simulation::default(), log)?;
        // `cuda-test` checks for races; the check is slow.
        program.env("CUDASIM_RACES", "0");
    }
    Ok(program)
}
