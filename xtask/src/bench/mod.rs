//! `cargo xtask bench`: native benchmarks, and the page beside its peers in Chromium or Dawn.
//!
//! Each benchmark is a file here; what it runs is in `benches/`.

mod browser;
mod dawn;
mod decode_tab;
mod first_visit;
mod lighthouse;
mod matmul;
mod memory;
mod options;
mod peers;
mod results;

use crate::process::{run, step};
use crate::repo::Repo;
use anyhow::Result;

pub use options::Options;

/// Runs the chosen benchmarks, or all of them if none is chosen.
pub fn command(repo: &Repo, options: &Options) -> Result<()> {
    let chosen = options.chosen();
    let driver = &options.driver;
    if chosen.train {
        native(repo, "speed", Some("train"), &options.rest)?;
    }
    if chosen.tokenizer {
        native(repo, "tokenizer", None, &options.rest)?;
    }
    if chosen.decode {
        native(repo, "speed", Some("decode"), &options.rest)?;
    }
    if chosen.kernels {
        native(repo, "speed", Some("kernels"), &options.rest)?;
    }
    if chosen.memory {
        memory::run_all(repo)?;
    }
    if chosen.matmul {
        matmul::run(repo, driver)?;
    }
    if chosen.decode_tab {
        decode_tab::run(repo, driver)?;
    }
    if chosen.first_visit {
        first_visit::run(repo, driver)?;
    }
    if chosen.lighthouse {
        lighthouse::run(repo, driver.rounds)?;
    }
    if chosen.dawn {
        dawn::run(repo, driver)?;
    }
    if chosen.browser {
        browser::run(repo, driver)?;
    }
    Ok(())
}

/// Runs one of the crate's own benchmarks (`benches/NAME/main.rs`), or one of its commands.
fn native(repo: &Repo, name: &str, command: Option<&str>, args: &[String]) -> Result<()> {
    step(&format!("run the benchmark {}", command.unwrap_or(name)), || {
        let mut cargo = repo.cargo();
        cargo.args(["bench", "--profile", "release", "--bench", name, "--"]);
        cargo.args(command).args(args);
        run(&mut cargo, "see the messages above")
    })
}
