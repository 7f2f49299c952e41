//! Locations of the repository and its target folders, and the cargo that builds natively.

use crate::process;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// Folders that the commands work in.
pub struct Repo {
    /// Root of the repository.
    pub root: PathBuf,
    /// Cargo's target folder for native builds.
    pub target: PathBuf,
    /// Target folder for wasm builds. Their compiler may be another one, and the two would evict each other's cache.
    pub wasm_target: PathBuf,
}

impl Repo {
    /// Finds the folders. With `CI=true` the target folders are outside the clone, so that they outlive it.
    pub fn locate() -> Result<Self> {
        let manifest =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let root =
            PathBuf::from(manifest).parent().context("xtask has no parent folder")?.to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => std::path::absolute(dir)?,
            None if in_ci() => {
                let home = std::env::home_dir().context("HOME is not set")?;
                home.join(".cache/blankslate/target")
            }
            None => root.join("target"),
        };
        let wasm_target = if in_ci() {
            let mut beside = target.clone().into_os_string();
            beside.push("-wasm");
            beside.into()
        } else {
            target.join("wasm")
        };
        Ok(Self { root, target, wasm_target })
    }

    /// The cargo that runs xtask, for native builds in the repository's root.
    pub fn cargo(&self) -> Command {
        let mut cargo = process::command(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// An npm command in the repository's root.
    pub fn npm(&self) -> Command {
        let mut npm = process::command("npm");
        npm.current_dir(&self.root);
        npm
    }
}

/// True with `CI=true`: every adapter, driver and browser that the tests need must then be present.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
