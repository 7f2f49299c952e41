//! Builds the program and the kit for the machine with the GPU.

use super::kit::{Identity, Kit, Paths, is_tiny_shakespeare};
use crate::cuda::{self, Toolkit};
use crate::process::{command, failure, output, run, step};
use crate::repo::Repo;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Maximum size of the archive in bytes.
const LARGEST: u64 = 64 << 20;

/// Characters in the excerpt of the text.
const EXCERPT: usize = 6000;

/// Libraries of every Linux with the GNU C library, and of the driver, which the kit omits.
const EVERYWHERE: [&str; 8] =
    ["linux-vdso", "libc.", "libm.", "libdl.", "libpthread.", "librt.", "ld-linux", "libcuda."];

/// Runs the parts. Kept free of everything but a shell, and of libraries that would hide newer ones of the machine.
const SCRIPT: &str = r#"#!/bin/sh
# Runs the parts of a GPU day on this machine. Arguments: ./run.sh --help
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
if ldd "$kit/speed" 2>&1 | grep -q 'not found'; then
    export LD_LIBRARY_PATH="$kit/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
exec "$kit/xtask" gpu-day --kit "$kit" "$@"
"#;

/// Builds the kit and replaces an earlier one. `text` replaces the text in the repository.
pub fn pack(repo: &Repo, text: Option<&Path>) -> Result<Kit> {
    let own = repo.root.join("assets/text/shakespeare.txt");
    let text = text.unwrap_or(&own);
    // Read first, because building takes long.
    let text = fs::read(text).with_context(|| format!("cannot read {}", text.display()))?;
    step("find LLVM", || cuda::llvm(repo))?;
    let toolkit = step("find libdevice", || Toolkit::find(repo))?;
    let program = step("build with the feature `cuda`", || build(repo, &toolkit))?;
    step("put the kit together", || {
        let folder = repo.target.join("gpu-day");
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
        }
        let paths = Paths(folder.clone());
        strip(&program, &paths.program())?;
        strip(&std::env::current_exe()?, &paths.runner())?;
        for library in libraries(&output(command("ldd").arg(&program))?) {
            let name = library.file_name().unwrap_or_default();
            copy(&library, &paths.libraries().join(name))?;
        }
        let libdevice = "nvvm/libdevice/libdevice.10.bc";
        copy(&toolkit.root.join(libdevice), &paths.toolkit().join(libdevice))?;
        for golden in ["gpt2-tiny", "llama-tiny"] {
            let from = repo.root.join("assets/golden").join(golden);
            copy_files(&from, &paths.goldens().join(golden))?;
        }
        write(&paths.text(), &text)?;
        let excerpt: String = String::from_utf8_lossy(&text).chars().take(EXCERPT).collect();
        write(&paths.excerpt(), excerpt.as_bytes())?;
        write(&paths.script(), SCRIPT.as_bytes())?;
        output(command("chmod").arg("755").arg(paths.script()))?;
        let identity = Identity {
            version: version(repo)?,
            commit: commit(repo),
            is_tiny_shakespeare: is_tiny_shakespeare(&text),
        };
        write(&paths.identity(), &serde_json::to_vec_pretty(&identity)?)?;
        Ok(Kit { folder, identity })
    })
}

/// Packs the kit into an archive beside it, and returns its path.
pub fn archive(kit: &Kit) -> Result<PathBuf> {
    let file = kit.folder.with_extension("tar.gz");
    let parent = kit.folder.parent().context("the kit is in a folder")?;
    let name = kit.folder.file_name().unwrap_or_default();
    let mut tar = command("tar");
    tar.arg("-C").arg(parent).arg("-czf").arg(&file).arg(name);
    run(&mut tar, "install tar and gzip")?;
    let size = fs::metadata(&file)?.len();
    println!("    {}: {:.1} MiB", file.display(), size as f64 / f64::from(1 << 20));
    ensure!(
        size <= LARGEST,
        failure(
            format!("the archive has {size} bytes, more than {LARGEST}"),
            "see which file in the kit has grown"
        )
    );
    Ok(file)
}

/// Builds the benchmarks with the arguments of `cargo xtask cuda-test`, and returns the path of the executable.
fn build(repo: &Repo, toolkit: &Toolkit) -> Result<PathBuf> {
    let mut cargo = cuda::cargo(repo, toolkit);
    cargo.args(["--no-run", "--bench", "speed"]);
    run(&mut cargo, "see the compiler's messages above")?;
    let messages = output(cargo.args(["--message-format", "json"]))?;
    executable(&messages, "speed")
        .with_context(|| format!("cargo names no executable of the benchmark: {messages}"))
}

/// Finds the executable of a target in cargo's messages.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = messages.filter(|message| message["target"]["name"] == target);
    found.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Returns the libraries in the output of `ldd` that not every machine has.
fn libraries(ldd: &str) -> Vec<PathBuf> {
    let lines = ldd.lines().map(str::trim);
    let needed = lines.filter(|line| !EVERYWHERE.iter().any(|name| base(line).starts_with(name)));
    needed.filter_map(|line| Some(line.split_once(" => ")?.1.split(" (").next()?.into())).collect()
}

/// Returns the file name of the library in a line of `ldd`.
fn base(line: &str) -> &str {
    let name = line.split_whitespace().next().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default()
}

fn version(repo: &Repo) -> Result<String> {
    let id = output(repo.cargo().args(["pkgid", "--package", "blankslate"]))?;
    Ok(id.rsplit(['#', '@']).next().unwrap_or_default().into())
}

fn commit(repo: &Repo) -> String {
    let git = |words: &[&str]| output(command("git").current_dir(&repo.root).args(words)).ok();
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    create_parent(to)?;
    run(
        command("strip").arg("-o").args([to, from].map(OsStr::new)),
        "install binutils, which have `strip`",
    )
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bail!("{} is a folder among the files of a golden case", entry.path().display());
        }
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // fs::copy would also copy a read-only permission.
    write(to, &fs::read(from).with_context(|| format!("cannot read {}", from.display()))?)
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    create_parent(file)?;
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

fn create_parent(file: &Path) -> Result<()> {
    let parent = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_every_linux_stay_behind() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n\
                   \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\
                   \tlibstdc++.so.6 => /usr/lib/libstdc++.so.6 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = libraries(ldd);
        let expected = ["/lib/x86_64-linux-gnu/libz.so.1", "/usr/lib/libstdc++.so.6"];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn the_executable_is_that_of_the_target() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"blankslate"},"executable":"/t/blankslate"}"#,
            "\nnot JSON\n",
            r#"{"reason":"compiler-artifact","target":{"name":"speed"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"speed"},"executable":"/t/deps/speed-1"}"#,
        );
        assert_eq!(executable(messages, "speed"), Some("/t/deps/speed-1".into()));
        assert_eq!(executable(messages, "train"), None);
    }
}
