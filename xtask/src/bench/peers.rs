//! Peers of the browser benchmarks: a writable copy of `../shared/peers` with its npm packages.

use crate::repo::Repo;
use crate::setup;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Location of the peers, relative to the repository's root.
const PEERS: &str = "../shared/peers";

/// Returns the peers' folder. Prints that the benchmark is skipped, and returns none, if it is missing.
pub fn locate(repo: &Repo, benchmark: &str) -> Option<PathBuf> {
    let shared = repo.root.join(PEERS);
    if !shared.join("run.mjs").is_file() {
        println!("SKIPPED: the {benchmark} benchmark needs the peers in {PEERS}, which is missing");
        return None;
    }
    Some(shared)
}

/// Copies the peers, whose folder may be read-only, and installs their npm packages.
pub fn install(repo: &Repo, shared: &Path, peers: &str) -> Result<PathBuf> {
    let folder = repo.target.join("peers");
    copy_folder(shared, &folder)?;
    copy_folder(&repo.root.join("benches/browser"), &folder.join("browser"))?;
    install_packages(repo, &folder)?;
    if peers.split(',').any(|peer| peer == "nanogpt") {
        install_packages(repo, &folder.join("nanogpt"))?;
    }
    Ok(folder)
}

/// Installs a folder's npm packages unless its lock file is unchanged since the last time.
pub fn install_packages(repo: &Repo, folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("{} has no lock file", folder.display()))?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(());
    }
    setup::npm_ci(repo, folder)?;
    fs::write(&installed, lock).with_context(|| format!("cannot write {}", installed.display()))
}

/// Copies the files of a folder, except those that npm, a bundler or Python generated.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let source = entry.path();
        let name = entry.file_name();
        if ["node_modules", "dist", "__pycache__"].iter().any(|generated| name == *generated) {
            continue;
        }
        let target = to.join(name);
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            // Not fs::copy, which would copy a read-only permission too.
            let bytes =
                fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
            fs::write(&target, bytes)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
