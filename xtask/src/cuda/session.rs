//! A run of the tests: build arguments, and processes that use the GPU.

use super::gpu::{Gpu, Simulation};
use super::toolkit::Toolkit;
use crate::process::command;
use crate::repo::Repo;
use anyhow::{Context, Result};
use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

/// Returns the `cargo test` command that builds everything with the feature `cuda`. With other features or targets, cargo would
/// rebuild burn. Integration tests also build the binary.
pub fn cargo(repo: &Repo, toolkit: &Toolkit) -> Command {
    cargo_with(repo, toolkit, "cuda")
}

/// [`cargo`] with `feature`, which must include `cuda` and give burn no other features.
pub fn cargo_with(repo: &Repo, toolkit: &Toolkit, feature: &str) -> Command {
    let mut cargo = repo.cargo();
    cargo.args(["test", "--release", "--features", feature]);
    // cudarc is rebuilt when CUDA_PATH changes.
    cargo.env("CUDARC_CUDA_VERSION", "13000").env("CUDA_PATH", &toolkit.root);
    cargo
}

/// Repository, tools and device of a run of the tests.
pub struct Session<'a> {
    pub repo: &'a Repo,
    pub toolkit: Toolkit,
    pub gpu: Gpu,
    /// Caches and logs of this session.
    pub folder: PathBuf,
    /// Number of processes so far. Each has its own log.
    processes: Cell<usize>,
}

impl<'a> Session<'a> {
    /// Creates a session with empty caches.
    pub fn new(repo: &'a Repo, toolkit: Toolkit, gpu: Gpu) -> Result<Self> {
        let folder = repo.target.join("cuda-test");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
            }
            _ => {}
        }
        Ok(Self { repo, toolkit, gpu, folder, processes: Cell::new(0) })
    }

    /// See [`cargo`].
    pub fn cargo(&self) -> Command {
        cargo(self.repo, &self.toolkit)
    }

    /// Returns the command of a subcommand of the binary, which may use the GPU.
    pub fn program(&self, subcommand: &str, simulation: Simulation) -> Result<Command> {
        let mut program = command(self.repo.target.join("release/blankslate"));
        program.arg(subcommand);
        self.on_gpu(&mut program, simulation)?;
        Ok(program)
    }

    /// Prepares a process that may use the GPU.
    pub fn on_gpu(&self, command: &mut Command, simulation: Simulation) -> Result<()> {
        command
            // Tests fail if a requirement is missing.
            .env("CI", "true")
            .env("BLANKSLATE_TEST_GPU", "cuda")
            .env("CUDA_PATH", &self.toolkit.root)
            .env("XDG_CACHE_HOME", self.folder.join("cache"));
        self.processes.set(self.processes.get() + 1);
        let log = self.folder.join(format!("logs/{:03}", self.processes.get()));
        self.gpu.prepare(command, simulation, &log)
    }
}
