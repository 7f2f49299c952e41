//! The crate as `cargo package` makes it: what it contains, its size, and that it compiles.

use crate::process::{self, failure, output, run};
use crate::repo::Repo;
use anyhow::{Context, Result, bail};
use std::fs;

/// Limit of crates.io.
const MAX_BYTES: u64 = 10_000_000;

/// Files and folders at the root of the crate; see `include` in Cargo.toml.
const EXPECTED: [&str; 10] = [
    ".cargo_vcs_info.json",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Cargo.toml.orig",
    "LICENSE",
    "README.md",
    "assets",
    "examples",
    "src",
];

/// Packages the crate, compares its contents with [`EXPECTED`], and checks that it compiles on its own.
pub fn check(repo: &Repo) -> Result<()> {
    let package = ["package", "--package", "blankslate", "--allow-dirty"];
    let files = output(repo.cargo().args(package).arg("--list"))?;
    for file in files.lines() {
        let root = file.split(['/', '\\']).next().unwrap_or(file);
        if !EXPECTED.contains(&root) {
            return Err(failure(
                format!("the crate contains {file}"),
                "leave it out of `include` in Cargo.toml, or add it to xtask/src/test/package.rs",
            ));
        }
    }
    // Cargo's own verification would compile all dependencies again, in a target folder of its own.
    run(repo.cargo().args(package).args(["--no-verify", "--quiet"]), "see cargo's message above")?;

    let version = version(repo)?;
    let archive = repo.target.join(format!("package/blankslate-{version}.crate"));
    let size =
        fs::metadata(&archive).with_context(|| format!("cannot read {}", archive.display()))?.len();
    println!("    {} files, {:.2} MB compressed", files.lines().count(), size as f64 / 1e6);
    if size > MAX_BYTES {
        bail!("the crate has {size} bytes; crates.io accepts {MAX_BYTES}");
    }

    // Outside the repository, whose workspace cargo would otherwise find.
    let folder = std::env::temp_dir().join(format!("blankslate-package-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut tar = process::command("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(&folder);
    let compiles = run(&mut tar, "see tar's message above").and_then(|()| {
        let mut cargo = repo.cargo();
        cargo.args(["check", "--release", "--locked", "--lib", "--bins"]);
        cargo.current_dir(folder.join(format!("blankslate-{version}")));
        run(&mut cargo, "add what is missing to `include` in Cargo.toml")
    });
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    compiles
}

/// Version of the crate.
fn version(repo: &Repo) -> Result<String> {
    let id = output(repo.cargo().args(["pkgid", "--package", "blankslate"]))?;
    let version = id.rsplit(['#', '@']).next().context("cargo pkgid printed nothing")?;
    Ok(version.to_owned())
}
