//! Steps of `cargo xtask test` with their times and outcomes, and what could not be tested.

use crate::process::{self, run, seconds};
use crate::repo::Repo;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

/// A step that has run.
struct Step {
    name: String,
    time: Duration,
    passed: bool,
}

/// The steps that have run.
pub struct Report {
    steps: Vec<Step>,
    /// File to which tests append what they lack on this machine, a line each.
    not_covered: PathBuf,
}

impl Report {
    /// Starts without steps.
    pub fn new(repo: &Repo) -> Result<Self> {
        let not_covered = repo.target.join("not-covered.txt");
        match fs::remove_file(&not_covered) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", not_covered.display()))
            }
            _ => Ok(Self { steps: Vec::new(), not_covered }),
        }
    }

    /// The environment variable that tells tests where to record what they lack (`tests/common/missing.rs`,
    /// `skipWithout` in `tests/web/harness.mjs`).
    pub fn environment(&self) -> (&'static str, PathBuf) {
        ("BLANKSLATE_NOT_COVERED", self.not_covered.clone())
    }

    /// Runs one step. A failure is printed and counted but does not end the run.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = Instant::now();
        let outcome = process::step(name, work);
        if let Err(error) = &outcome {
            println!("    FAILED: {error:#}");
        }
        self.steps.push(Step {
            name: name.to_owned(),
            time: start.elapsed(),
            passed: outcome.is_ok(),
        });
        outcome.ok()
    }

    /// Runs a cargo command as a step.
    pub fn cargo(&mut self, name: &str, cargo: &mut Command) {
        self.step(name, || run(cargo, "see the messages above"));
    }

    /// Prints the table; an error if a step failed.
    pub fn finish(self) -> Result<()> {
        println!("\n{:>14}  step", "time");
        for Step { name, time, passed } in &self.steps {
            let mark = if *passed { "" } else { "  FAILED, see above" };
            println!("{:>14}  {name}{mark}", seconds(*time));
        }
        println!("{:>14}  total", seconds(self.steps.iter().map(|step| step.time).sum()));
        for line in distinct(&fs::read_to_string(&self.not_covered).unwrap_or_default()) {
            println!("not covered here: {line}");
        }
        let failed = self.steps.iter().filter(|step| !step.passed).count();
        println!("{} passed, {failed} failed", self.steps.len() - failed);
        if failed == 0 { Ok(()) } else { Err(StepsFailed.into()) }
    }
}

/// Sorted lines without repetitions: several tests lack the same.
fn distinct(lines: &str) -> BTreeSet<&str> {
    lines.lines().filter(|line| !line.is_empty()).collect()
}

/// The table above already lists the failed steps, so `main` prints nothing for this error.
#[derive(Debug)]
pub struct StepsFailed;

impl fmt::Display for StepsFailed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("some steps failed")
    }
}

impl std::error::Error for StepsFailed {}

#[cfg(test)]
mod tests {
    use super::distinct;

    #[test]
    fn what_is_not_covered_is_listed_once() {
        let lines = "Bf16: llvmpipe\nno Firefox found\nBf16: llvmpipe\n";
        assert!(distinct(lines).into_iter().eq(["Bf16: llvmpipe", "no Firefox found"]));
    }
}
