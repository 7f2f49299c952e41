//! `cargo xtask fuzz`: libFuzzer on the targets in `fuzz/`, with the stable toolchain. It needs Linux and a C++ compiler.

use crate::process::{command as program, output, run, step};
use crate::repo::Repo;
use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub struct Options {
    /// Targets to fuzz, one after the other; by default all of them
    targets: Vec<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Arguments of libFuzzer, such as `-runs=10000000`, or an input to run once
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds the fuzzer and runs it. What it finds and learns stays in the target folder, in `fuzz/TARGET/`.
pub fn command(repo: &Repo, options: &Options) -> Result<()> {
    step("build the fuzzer: the crate once more, with instrumentation", || {
        let mut cargo = repo.cargo();
        cargo.args([
            "build",
            "--release",
            "--package",
            "blankslate-fuzz",
            "--features",
            "libfuzzer",
        ]);
        // Dependencies are shared with other builds, since cargo uses this compiler for the workspace only.
        cargo.env("RUSTC_WORKSPACE_WRAPPER", repo.root.join("fuzz/rustc.sh"));
        run(&mut cargo, "see the compiler's messages above")
    })?;
    let fuzzer = repo.target.join("release/fuzz");
    let targets = match options.targets.as_slice() {
        [] => output(&mut program(&fuzzer))?.lines().map(str::to_string).collect(),
        named => named.to_vec(),
    };
    for target in targets {
        step(&format!("fuzz {target}"), || {
            let mut fuzzer = program(&fuzzer);
            fuzzer.arg(&target).arg(repo.target.join("fuzz").join(&target));
            fuzzer.arg(format!("-max_total_time={}", options.seconds)).args(&options.rest);
            let remedy = format!(
                "fix the parser and keep the input, whose path is above, as fuzz/findings/{target}/WHAT_IT_IS"
            );
            run(&mut fuzzer, &remedy)
        })?;
    }
    Ok(())
}
