//! The device under test: an NVIDIA GPU, or a driver that simulates one.

use crate::process::{command, failure, output, run};
use crate::repo::Repo;
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Environment variable of the program that chooses the library of matrix products.
pub const PRODUCTS: &str = "BLANKSLATE_PRODUCTS";

/// Device that tests and binary run on.
pub enum Gpu {
    /// An NVIDIA GPU with this compute capability, without the dot: 90 for 9.0.
    Real(u32),
    /// A simulated driver in this folder, configured by [`Simulation`].
    Simulated(PathBuf),
}

/// Settings of a simulated driver. A real GPU ignores them.
#[derive(Clone, Copy)]
pub struct Simulation {
    /// Compute capability without the dot.
    pub architecture: u32,
    /// True if TF32 keeps all bits of f32, to distinguish rounding from bugs.
    pub exact_tf32: bool,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { architecture: 90, exact_tf32: false }
    }
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "sm_{}{}",
            self.architecture,
            if self.exact_tf32 { " with exact TF32" } else { "" }
        )
    }
}

impl Gpu {
    /// Finds an NVIDIA GPU, or builds the simulated driver in the folder `driver`.
    pub fn find(repo: &Repo, driver: Option<&Path>) -> Result<Self> {
        let mut query = command("nvidia-smi");
        query.args(["--query-gpu=name,compute_cap", "--format=csv,noheader"]);
        if let Ok(found) = output(&mut query)
            && let Some((name, capability)) =
                found.lines().next().and_then(|gpu| gpu.rsplit_once(", "))
        {
            println!("    {name}, compute capability {capability}");
            return Ok(Self::Real(capability.replace('.', "").parse()?));
        }
        let Some(driver) = driver else {
            return Err(failure(
                "there is no NVIDIA GPU here (nvidia-smi reports none)",
                "name the folder of a simulated driver with --driver DIR",
            ));
        };
        if !driver.join("Cargo.toml").is_file() {
            return Err(failure(
                format!("--driver {}: there is no Cargo.toml", driver.display()),
                "name the folder of a cargo project that builds libcuda.so",
            ));
        }
        let target = repo.target.join("cuda-driver");
        let mut cargo = repo.cargo();
        // In its own folder, since it may need the `.cargo/config.toml` there.
        cargo.current_dir(driver).env("CARGO_TARGET_DIR", &target);
        run(cargo.args(["build", "--release"]), "see the compiler's messages above")?;
        let folder = target.join("lib");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        for name in ["libcuda.so", "libcuda.so.1"] {
            fs::copy(target.join("release/libcuda.so"), folder.join(name))
                .with_context(|| format!("{} builds no libcuda.so", driver.display()))?;
        }
        Ok(Self::Simulated(folder))
    }

    /// Returns the compute capabilities to test.
    pub fn architectures(&self) -> Vec<u32> {
        match self {
            Self::Real(architecture) => vec![*architecture],
            Self::Simulated(_) => vec![90, 80, 120],
        }
    }

    /// Returns the values of [`Simulation::exact_tf32`] to test.
    pub fn roundings(&self) -> Vec<bool> {
        match self {
            Self::Real(_) => vec![false],
            Self::Simulated(_) => vec![false, true],
        }
    }

    /// Prepares a process. A simulated driver checks for races in shared memory, and writes its findings to `log`.
    pub fn prepare(&self, command: &mut Command, simulation: Simulation, log: &Path) -> Result<()> {
        let Self::Simulated(folder) = self else { return Ok(()) };
        fs::create_dir_all(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut libraries = vec![folder.clone()];
        let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        libraries.extend(std::env::split_paths(&inherited));
        command
            .env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?)
            .env("CUDASIM_ARCH", simulation.architecture.to_string())
            .env("CUDASIM_TF32", if simulation.exact_tf32 { "exact" } else { "rounded" })
            .env("CUDASIM_RACES", "1")
            // An installed cuBLASLt expects a GPU.
            .env(PRODUCTS, "burn")
            .env("CUDASIM_DIR", log);
        Ok(())
    }
}

/// Fails if a simulated driver found a race, a shuffle from an inactive lane or in a partial warp, a barrier that not all warps
/// reach, or an access outside an allocation, or if it recorded no launch.
pub fn check_logs(folder: &Path) -> Result<()> {
    let mut found = Vec::new();
    let mut launched = false;
    for log in fs::read_dir(folder.join("logs")).into_iter().flatten() {
        let log = log?.path();
        let read = |file: &str| fs::read_to_string(log.join(file)).unwrap_or_default();
        let severe = |line: &&str| {
            ["RACE", "STRAY", "PARTIAL", "BARRIER"].iter().any(|word| line.contains(word))
        };
        let lines = [
            read("notes.txt").lines().filter(severe).collect::<Vec<_>>().join("\n"),
            read("faults.txt"),
        ];
        found.extend(lines.into_iter().filter(|text| !text.is_empty()));
        launched |= log.join("launches.csv").is_file();
    }
    ensure!(launched, "the simulated driver recorded no launch");
    if found.is_empty() {
        Ok(())
    } else {
        bail!("the simulated driver reports:\n{}", found.join("\n"))
    }
}
