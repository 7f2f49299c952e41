//! `cargo xtask bench --memory`: whether memory stays where it is while `tiny` trains.

use crate::process::{self, failure, run, step};
use crate::repo::Repo;
use crate::setup;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const STEPS: u64 = 2000;
/// From this step on nothing may grow.
const SETTLED: u64 = 200;
/// Steps over which resident memory is averaged: an evaluation or a save comes and goes in between.
const SPAN: u64 = 200;
const EARLY_END: u64 = SETTLED + SPAN;
const LATE_START: u64 = STEPS - SPAN;

/// Resident bytes on average, and the most there was.
struct Memory {
    early: f64,
    late: f64,
    peak: f64,
}

/// Trains on each device and prints what memory was early, late and at most.
pub fn run_all(repo: &Repo) -> Result<()> {
    if !fs::exists("/proc/self/status")? {
        println!("SKIPPED: the memory benchmark. It reads /proc, which is not there.");
        return Ok(());
    }
    setup::vulkan()?;
    // In the same form as the tests, whose build of burn it then shares.
    step("build the binary", || {
        let args = ["test", "--release", "--no-run", "--bins", "--test", "cli"];
        run(repo.cargo().args(args), "read the compiler's messages above")
    })?;
    for device in ["cpu", "vulkan"] {
        let what = format!("train tiny for {STEPS} steps on {device}");
        let Memory { early, late, peak } = step(&what, || measure(repo, device))?;
        println!(
            "{device}: {:.1} MB over steps {SETTLED} to {EARLY_END}, {:.1} MB over steps {LATE_START} to {STEPS} ({:+.1} %), peak {:.1} MB",
            early / 1e6,
            late / 1e6,
            100.0 * (late / early - 1.0),
            peak / 1e6,
        );
    }
    Ok(())
}

/// Trains, looking at the process whenever it reports a step.
fn measure(repo: &Repo, device: &str) -> Result<Memory> {
    let out = repo.target.join("bench-memory");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    let mut train = process::command(repo.target.join("release/blankslate"));
    train.args(["train", "--preset", "tiny", "--json", "--device", device]);
    train.args(["--steps", &STEPS.to_string(), "--out"]).arg(&out);
    let mut child =
        train.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot train")?;
    let status = format!("/proc/{}/status", child.id());
    let stdout = child.stdout.take().context("the program has no standard output")?;
    let (mut early, mut late, mut peak) = (Vec::new(), Vec::new(), 0.0);
    for line in BufReader::new(stdout).lines() {
        let event: Value = serde_json::from_str(&line?).context("a line is not JSON")?;
        let (true, Some(step)) = (event["type"] == "step", event["step"].as_u64()) else {
            continue;
        };
        // The last step is evaluated and saved after it was reported, so the process is still there.
        let status = fs::read_to_string(&status).context("the training has ended")?;
        peak = field(&status, "VmHWM")?;
        let resident = field(&status, "VmRSS")?;
        match step {
            SETTLED..=EARLY_END => early.push(resident),
            LATE_START.. => late.push(resident),
            _ => (),
        }
    }
    let ended = child.wait()?;
    if !ended.success() || early.is_empty() || late.is_empty() {
        return Err(failure(
            format!("training on {device} failed ({ended})"),
            "train there by hand",
        ));
    }
    let mean = |bytes: Vec<f64>| bytes.iter().sum::<f64>() / bytes.len() as f64;
    Ok(Memory { early: mean(early), late: mean(late), peak })
}

/// A field of `/proc/PID/status`, in bytes.
fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(1024.0 * number.with_context(|| format!("/proc has no {name}"))?)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "VmHWM:\t    20 kB\nVmRSS:\t    10 kB\n";
        assert_eq!(field(status, "VmRSS").unwrap(), 10_240.0);
        assert!(field(status, "Vm").is_err());
    }
}
