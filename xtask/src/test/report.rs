//! Steps of `cargo xtask test` with their times and outcomes.

use crate::process::{self, run, seconds};
use anyhow::Result;
use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

/// A step that has run.
struct Step {
    name: String,
    time: Duration,
    passed: bool,
}

/// The steps that have run.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

impl Report {
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
        let failed = self.steps.iter().filter(|step| !step.passed).count();
        println!("{} passed, {failed} failed", self.steps.len() - failed);
        if failed == 0 { Ok(()) } else { Err(StepsFailed.into()) }
    }
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
