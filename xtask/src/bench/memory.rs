//! `cargo xtask bench --memory`: resident memory while `tiny` trains natively.

use crate::process::{self, failure, step};
use crate::repo::Repo;
use crate::{setup, test};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const STEPS: u64 = 2000;
/// Memory must not grow after this step.
const SETTLED: u64 = 200;
/// Steps to average over, since evaluations and saves allocate for a while.
const SPAN: u64 = 200;
const EARLY_END: u64 = SETTLED + SPAN;
const LATE_START: u64 = STEPS - SPAN;

/// Resident memory in bytes: means over the early and the late steps, and the peak.
struct Memory {
    early: f64,
    late: f64,
    peak: f64,
}

/// Trains on each device and prints early, late and peak memory.
pub fn run_all(repo: &Repo) -> Result<()> {
    if !fs::exists("/proc/self/status")? {
        println!("SKIPPED: the memory benchmark reads /proc, which is missing");
        return Ok(());
    }
    setup::vulkan()?;
    let binary = step("build the binary", || test::build_binary(repo, &[]))?;
    for device in ["cpu", "vulkan"] {
        let what = format!("train tiny for {STEPS} steps on {device}");
        let Memory { early, late, peak } = step(&what, || measure(repo, &binary, device))?;
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

/// Trains, and reads the process's memory whenever it reports a step.
fn measure(repo: &Repo, binary: &std::path::Path, device: &str) -> Result<Memory> {
    let out = repo.target.join("bench-memory");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let mut train = process::command(binary);
    train.args(["train", "--preset", "tiny", "--json", "--device", device]);
    train.args(["--steps", &STEPS.to_string(), "--out"]).arg(&out);
    let mut child =
        train.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot train")?;
    let status = format!("/proc/{}/status", child.id());
    let stdout = child.stdout.take().context("the program has no standard output")?;
    let mut early = Vec::new();
    let mut late = Vec::new();
    let mut peak = 0.0;
    for line in BufReader::new(stdout).lines() {
        let event: Value = serde_json::from_str(&line?).context("a line is not JSON")?;
        if event["type"] != "step" {
            continue;
        }
        let Some(step) = event["step"].as_u64() else { continue };
        // After its last step the process evaluates and saves, so it is still running here.
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
            "run the same training by hand to see its message",
        ));
    }
    let mean = |bytes: Vec<f64>| bytes.iter().sum::<f64>() / bytes.len() as f64;
    Ok(Memory { early: mean(early), late: mean(late), peak })
}

/// Returns a field of `/proc/PID/status` in bytes.
fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(1024.0 * number.with_context(|| format!("/proc has no {name}"))?)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_match_by_their_whole_name() {
        let status = "VmHWM:\t    20 kB\nVmRSS:\t    10 kB\n";
        assert_eq!(field(status, "VmRSS").unwrap(), 10_240.0);
        assert!(field(status, "Vm").is_err());
    }
}
