//! `cargo xtask <command>`: everything a developer of blankslate runs, including the set-up.
//!
//! Start reading at [`web`] or [`test`]; [`setup`] installs what is missing.

mod bench;
mod compress;
mod cuda;
mod fuzz;
mod gpu_day;
mod notices;
mod process;
mod repo;
mod serve;
mod setup;
mod test;
mod wasm;
mod web;

use anyhow::Result;
use clap::{Parser, Subcommand};
use repo::Repo;
use std::process::ExitCode;

/// Developer commands of blankslate. Each command installs whatever it needs that is missing.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the page into dist/ and serve it on 127.0.0.1
    Web(web::Options),
    /// Run every check: format, lints, tests, documentation, the page in real browsers
    Test(test::Options),
    /// Run the benchmarks: all of them, or those chosen by flag
    Bench(bench::Options),
    /// Build with the feature `cuda` and test it on an NVIDIA GPU, or under a simulated driver
    CudaTest(cuda::Options),
    /// Measure everything on one NVIDIA GPU in ten minutes, or pack what another machine needs for that
    GpuDay(gpu_day::Options),
    /// Fuzz what parses files and links: all targets in turn, or those named
    Fuzz(fuzz::Options),
    /// Generate www/types.ts, www/settings.ts and docs/settings.md from the Rust structs
    Types,
    /// Write the licenses of third-party code beside the release binary and, if it was built, the page
    Notices,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<test::StepsFailed>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    let repo = Repo::locate()?;
    match command {
        Command::Web(options) => web::command(&repo, &options),
        Command::Test(options) => test::command(&repo, &options),
        Command::Bench(options) => bench::command(&repo, &options),
        Command::CudaTest(options) => cuda::test(&repo, &options),
        Command::GpuDay(options) => gpu_day::command_line(&repo, &options),
        Command::Fuzz(options) => fuzz::command(&repo, &options),
        Command::Types => types(&repo),
        Command::Notices => notices::command(&repo),
    }
}

/// Rewrites `www/types.ts`, `www/settings.ts` and `docs/settings.md` through the unit tests that otherwise compare them
/// with the structs.
fn types(repo: &Repo) -> Result<()> {
    process::step("write www/types.ts, www/settings.ts and docs/settings.md", || {
        let mut cargo = repo.cargo();
        cargo.args(["test", "--release", "--lib", "typescript"]).env("UPDATE_TYPES", "1");
        process::run(&mut cargo, "see the message of the compiler or the test above")
    })
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn accepts_the_documented_options() {
        for line in [
            "web --open --no-serve --names --port 81",
            "test --only fmt --only clippy,native",
            "bench --train --decode --kernels --rounds 5 -- --device cuda",
            "bench --browser --config small --peers jaxjs,tfjs --steps 9 --warmup 1 --timeout 60 --read-every 2",
            "bench --decode-tab --adapter default",
            "cuda-test --driver ../driver --only check,modules",
            "gpu-day --pack --text input.txt",
            "gpu-day --driver ../driver --dry-run --minutes 90 --only check,kernels --out report",
            "gpu-day --kit . --only torch",
            "fuzz gguf zip --seconds 600 -- -runs=10000000",
            "bench --dawn --matmul --first-visit --lighthouse --memory --tokenizer",
        ] {
            let words = std::iter::once("xtask").chain(line.split(' '));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }
}
