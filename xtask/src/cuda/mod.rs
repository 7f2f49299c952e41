//! `cargo xtask cuda-test`: builds with the feature `cuda` and tests it, on an NVIDIA GPU or on a simulated driver.

mod gpu;
mod modules;
mod products;
mod runs;
mod session;
mod toolkit;

pub use gpu::{Gpu, Simulation};
pub use runs::{PRECISIONS, SAME, SMALL, TENSOR_CORES, difference};
pub use session::cargo;
pub use toolkit::{Toolkit, llvm};

use crate::process::{output, run, step};
use crate::repo::Repo;
use crate::setup;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use session::Session;
use std::path::PathBuf;

/// Test programs that run on the GPU.
const TESTS: [&str; 4] = ["kernels", "model", "training", "optim"];

#[derive(Args)]
pub struct Options {
    /// Folder of a cargo project that builds a simulated libcuda.so; used where there is no NVIDIA GPU
    #[arg(long, value_name = "DIR")]
    driver: Option<PathBuf>,
    /// Run only these parts (may be repeated, or a comma-separated list)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
}

/// Parts that `--only` selects.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `blankslate check` on the golden cases, on each architecture
    Check,
    /// Tests of kernels, models, training and optimizers
    Tests,
    /// Matrix products by cuBLASLt; under a simulated driver by a library that records its arguments
    Products,
    /// Training and sampling with the binary, compared with the CPU
    Runs,
    /// Two and three ranks connected by a stand-in for NCCL; builds with the feature `nccl`
    Nccl,
    /// Assemble the kernels of the other parts for each architecture; with all parts, write docs/measurements/cuda-modules.md
    Modules,
}

/// Installs missing tools, builds, and runs the chosen parts.
pub fn test(repo: &Repo, options: &Options) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "cuda-test sets up Linux only");
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    step("find LLVM", || llvm(repo))?;
    let toolkit = step("find libdevice and ptxas", || Toolkit::find(repo))?;
    let gpu = step("find a GPU", || Gpu::find(repo, options.driver.as_deref()))?;
    let session = Session::new(repo, toolkit, gpu)?;
    if options.only != [Part::Nccl] {
        step("build tests and binary with the feature `cuda`", || {
            let mut cargo = session.cargo();
            let tests = TESTS.iter().chain(&[products::TEST]);
            cargo.arg("--no-run").args(tests.flat_map(|test| ["--test", test]));
            run(&mut cargo, "see the compiler's messages above")
        })?;
    }
    if wanted(Part::Check) {
        check(&session)?;
    }
    if wanted(Part::Tests) {
        for test in TESTS {
            // Kernels differ between architectures. Only the kernel tests compile all kernels.
            let all = session.gpu.architectures();
            for architecture in if test == "kernels" { all } else { all[..1].to_vec() } {
                let simulation = Simulation { architecture, ..Simulation::default() };
                step(&format!("tests/{test} on {simulation}"), || {
                    let mut cargo = session.cargo();
                    cargo.args(["--test", test]);
                    session.on_gpu(&mut cargo, simulation)?;
                    run(&mut cargo, "see the messages above")
                })?;
            }
        }
    }
    if wanted(Part::Products) {
        products::test(&session)?;
    }
    if wanted(Part::Runs) {
        runs::compare(&session)?;
    }
    if wanted(Part::Nccl) {
        nccl(&session)?;
        if options.only == [Part::Nccl] {
            return Ok(());
        }
    }
    if let Gpu::Real(_) = session.gpu {
        println!(
            "    races are not looked for, and kernels not assembled: only a simulated driver records them"
        );
        return Ok(());
    }
    step("look for races", || gpu::check_logs(&session.folder))?;
    if wanted(Part::Modules) {
        // The table in the repository is written by complete runs only.
        modules::assemble(&session, options.only.is_empty())?;
    }
    Ok(())
}

/// Tests ranks that share the GPU. They compute little, so races are looked for elsewhere.
fn nccl(session: &Session) -> Result<()> {
    step("find MPI", setup::mpi)?;
    step("tests/nccl", || {
        let mut cargo = session::cargo_with(session.repo, &session.toolkit, "nccl");
        cargo.args(["--test", "nccl"]);
        session.on_gpu(&mut cargo, Simulation::default())?;
        run(&mut cargo, "see the messages above")
    })
}

/// Compares logits, gradients and training steps with PyTorch's. The first two runs show the startup time that the autotune
/// cache on disk saves.
fn check(session: &Session) -> Result<()> {
    let program = |golden, simulation| {
        let mut program = session.program("check", simulation)?;
        program.args(["--device", "cuda", "--golden"]);
        program.arg(session.repo.root.join("assets/golden").join(golden));
        anyhow::Ok(program)
    };
    step("open a GPU without libdevice", || {
        let mut program = program("gpt2-tiny", Simulation::default())?;
        let refused = output(program.env("CUDA_PATH", "/nowhere")).err();
        let message = refused.context("nothing was missed")?.to_string();
        let named = ["CUDA_PATH=/nowhere", "nvidia-nvvm"].iter().all(|name| message.contains(name));
        ensure!(named, "the message does not say what to do: {message}");
        Ok(())
    })?;
    let first =
        Simulation { architecture: session.gpu.architectures()[0], ..Simulation::default() };
    let mut cases = vec![("nothing kept", "gpt2-tiny", first)];
    for architecture in session.gpu.architectures() {
        for exact_tf32 in session.gpu.roundings() {
            let simulation = Simulation { architecture, exact_tf32 };
            let case = |golden| ("choices kept", golden, simulation);
            cases.extend(["gpt2-tiny", "llama-tiny"].map(case));
        }
    }
    for (cache, golden, simulation) in cases {
        step(&format!("check {golden} on {simulation}, {cache}"), || {
            run(&mut program(golden, simulation)?, "see the comparisons above")
        })?;
    }
    Ok(())
}
