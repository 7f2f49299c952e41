//! Requirements of a CUDA build besides Rust: LLVM to compile, libdevice to run, ptxas to check the compiled kernels.

use crate::process::{command, failure, output, run, step, succeeds};
use crate::repo::Repo;
use crate::setup::{apt, python};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Debian's LLVM and its libraries.
const DEBIAN_LLVM: [&str; 7] = [
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libz3-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "libxml2-dev",
];

/// Replaces the `llvm-config` of the bundle. Debian's prints libz3 as a path, which burn's build script would treat as a library
/// name.
const LLVM_CONFIG: &str = r#"#!/bin/sh
/usr/lib/llvm-22/bin/llvm-config "$@" | sed -E 's|/[^ ]*/lib([^ /]+)\.so|-l\1|g'
"#;

/// Ensures that burn's build script finds LLVM, which it otherwise downloads from GitHub.
pub fn llvm(repo: &Repo) -> Result<()> {
    let id = output(repo.cargo().args(["pkgid", "tracel-llvm-bundler"]))?;
    let version = id.rsplit(['#', '@']).next().context("cargo pkgid printed nothing")?;
    let data = match std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => std::env::home_dir().context("HOME is not set")?.join(".local/share"),
    };
    let bundle = data.join("tracel").join(format!("tracel-llvm-{version}"));
    let installed = bundle.join(".tracel-llvm-installed");
    let download = format!(
        "https://github.com/tracel-ai/tracel-llvm/releases/download/v{version}/linux-x64.tar.xz"
    );
    if installed.exists() || is_reachable(&download) {
        return Ok(());
    }
    println!("    {download} cannot be downloaded; taking Debian's LLVM instead");
    apt(&DEBIAN_LLVM).map_err(|error| {
        failure(format!("there is no LLVM: {error:#}"), "run this once with access to github.com")
    })?;
    let program = bundle.join("bin/llvm-config");
    let write = || {
        fs::create_dir_all(bundle.join("bin"))?;
        fs::write(&program, LLVM_CONFIG)
    };
    write().with_context(|| format!("cannot write {}", program.display()))?;
    output(command("chmod").arg("755").arg(&program))?;
    fs::write(&installed, "").with_context(|| format!("cannot write {}", installed.display()))
}

fn is_reachable(url: &str) -> bool {
    let options = ["--silent", "--fail", "--head", "--location", "--max-time", "20"];
    succeeds(command("curl").args(options).arg(url))
}

/// The required files of NVIDIA's toolkit.
pub struct Toolkit {
    /// `CUDA_PATH`: the folder with `nvvm/libdevice`.
    pub root: PathBuf,
    /// The PTX assembler.
    pub ptxas: PathBuf,
}

impl Toolkit {
    /// Finds an installed toolkit, or installs the files from two PyPI packages.
    pub fn find(repo: &Repo) -> Result<Self> {
        let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
        if let Some(toolkit) = Self::complete(&named.unwrap_or("/usr/local/cuda".into())) {
            return Ok(toolkit);
        }
        let folder = repo.target.join("cuda-toolkit");
        let root = folder.join("nvidia/cu13");
        if Self::complete(&root).is_none() {
            step("install libdevice and ptxas from PyPI", || install(&folder))?;
        }
        Self::complete(&root).with_context(|| {
            failure(
                format!("PyPI's packages have no libdevice or no ptxas in {}", root.display()),
                "install the CUDA toolkit and set CUDA_PATH to it",
            )
        })
    }

    fn complete(root: &Path) -> Option<Self> {
        let ptxas = root.join("bin/ptxas");
        let complete = root.join("nvvm/libdevice/libdevice.10.bc").is_file() && ptxas.is_file();
        complete.then(|| Self { root: root.into(), ptxas })
    }
}

fn install(folder: &Path) -> Result<()> {
    let mut pip = command(python());
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]).arg(folder);
    // CUDA 13, to match burn's PTX.
    pip.args(["nvidia-nvvm==13.*", "nvidia-cuda-nvcc==13.*"]);
    run(&mut pip, "install pip for python3 ($PYTHON), or the CUDA toolkit with CUDA_PATH set to it")
}
