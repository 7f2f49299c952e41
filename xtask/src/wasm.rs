//! Building the crate for wasm: toolchains, Clippy and wasm-bindgen.

use crate::process::{self, failure, run};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use wasm_bindgen_cli_support::{Bindgen, Output};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// A toolchain that compiles for [`TARGET`]; `setup::wasm_toolchain` finds or installs one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Toolchain {
    /// The toolchain that runs xtask, which has the target's standard library.
    Own,
    /// Debian's `rustc-web` and `cargo-web`, which compile the standard library from source.
    Debian,
}

impl Toolchain {
    /// A cargo subcommand on the library, in the profile of the shipped page.
    fn cargo(self, repo: &Repo, subcommand: &str) -> Command {
        let mut cargo = match self {
            Self::Own => repo.cargo(),
            Self::Debian => process::command("/usr/bin/cargo"),
        };
        cargo.args([subcommand, "--lib", "--target", TARGET, "--profile", "web"]);
        cargo.current_dir(&repo.root).env("CARGO_TARGET_DIR", &repo.wasm_target);
        // These would override the flags in .cargo/config.toml.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        if self == Self::Debian {
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO", "/usr/bin/cargo").env("RUSTC", "/usr/bin/rustc");
            // Set by rustup's cargo for rustup's compilers.
            for name in ["RUSTUP_TOOLCHAIN", "RUSTDOC", "LD_LIBRARY_PATH"] {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// The toolchain's Clippy, as a compiler.
    fn clippy_driver(self, repo: &Repo) -> Result<PathBuf> {
        if self == Self::Debian {
            return Ok("/usr/bin/clippy-driver".into());
        }
        let mut rustc = process::command("rustc");
        let sysroot = process::output(rustc.current_dir(&repo.root).args(["--print", "sysroot"]))?;
        Ok(Path::new(&sysroot).join("bin/clippy-driver"))
    }
}

/// Runs Clippy on the library for wasm.
///
/// `cargo clippy` would check all dependencies a second time (6 minutes on two cores), since cargo shares nothing between
/// checking and building. This compiles the library with Clippy in place of rustc, on the dependencies that [`build`] has
/// compiled: without optimization, and as an rlib so that the page's wasm file stays as it is.
pub fn lint(repo: &Repo, toolchain: Toolchain) -> Result<()> {
    let mut cargo = toolchain.cargo(repo, "rustc");
    cargo.args(["--crate-type", "rlib", "--config", "profile.web.package.blankslate.opt-level=0"]);
    cargo.args(["--", "-D", "warnings"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", toolchain.clippy_driver(repo)?);
    run(&mut cargo, "see the messages above")
}

/// Compiles the crate to a wasm file.
///
/// Cargo.toml does not ask for one: natively that would be a shared library that nothing uses, and cargo keeps only one of
/// those, so that each change of features would compile the crate again.
fn compile(repo: &Repo, toolchain: Toolchain) -> Command {
    let mut cargo = toolchain.cargo(repo, "rustc");
    cargo.args(["--crate-type", "cdylib"]);
    cargo
}

/// Starts to compile the crate for wasm beside other work. [`build`] finds what is compiled by then, and repeats what failed.
pub fn compile_ahead(repo: &Repo, toolchain: Toolchain) -> Result<Child> {
    process::start_silently(&mut compile(repo, toolchain))
}

/// Compiles the crate and writes `pkg/`: JavaScript, its types, and the wasm.
pub fn build(repo: &Repo, toolchain: Toolchain, names: bool) -> Result<()> {
    process::step(
        "compile the crate to wasm (the first time takes about 10 minutes on two cores)",
        || run(&mut compile(repo, toolchain), "see the compiler's messages above"),
    )?;
    let wasm = repo.wasm_target.join(TARGET).join("web/blankslate.wasm");
    process::step("write pkg/ with wasm-bindgen", || bindgen(&wasm, &repo.root.join("pkg"), names))
}

/// Runs wasm-bindgen as a library, so that its version is always the one in Cargo.lock.
///
/// Does nothing if `out` was made from the same wasm with the same options.
fn bindgen(wasm: &Path, out: &Path, names: bool) -> Result<()> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    // The options below and wasm-bindgen's version, both read from their source.
    let options = (names, include_str!("wasm.rs"), include_str!("../Cargo.toml"));
    let mut hasher = DefaultHasher::new();
    (bytes, options).hash(&mut hasher);
    let stamp = format!("{:016x}", hasher.finish());
    let stamp_file = out.join(".stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        println!("    pkg/ is up to date");
        return Ok(());
    }

    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    let mut bindgen = Bindgen::new();
    // `init()` without an argument finds the wasm beside the script, as with the command-line tool.
    bindgen.input_path(wasm).typescript(true).omit_default_module_path(false);
    bindgen.remove_name_section(!names).remove_producers_section(true);
    let mut output =
        bindgen.web(true).and_then(|bindgen| bindgen.generate_output()).map_err(|error| {
            failure(
                format!("wasm-bindgen: {error:#}"),
                "if versions differ, give xtask/Cargo.toml and Cargo.toml the same wasm-bindgen",
            )
        })?;
    let replaced = if names { Vec::new() } else { shorten_imports(&mut output) };
    output.emit(out).with_context(|| format!("cannot write {}", out.display()))?;
    rename_in_script(&out.join("blankslate.js"), &replaced)?;
    fs::write(&stamp_file, stamp).with_context(|| format!("cannot write {}", stamp_file.display()))
}

/// Replaces the names of the functions that the wasm imports from its script by numbers, and returns the old names.
///
/// Each old name ends with a hash of 16 digits, which does not compress: 3 kB of the script and as much of the wasm.
fn shorten_imports(output: &mut Output) -> Vec<String> {
    let imports = output.wasm_mut().imports.iter_mut();
    // Other modules are our own files.
    let from_script = imports.filter(|import| import.module == "./blankslate_bg.js");
    from_script
        .enumerate()
        .map(|(i, import)| std::mem::replace(&mut import.name, format!("_{i}")))
        .collect()
}

/// Renames the functions in the script accordingly.
fn rename_in_script(script: &Path, old_names: &[String]) -> Result<()> {
    let mut text = fs::read_to_string(script)?;
    for (i, name) in old_names.iter().enumerate() {
        let defined = format!(" {name}: function(");
        ensure!(
            text.matches(&defined).count() == 1,
            "wasm-bindgen's script does not define {name} as {} expects; compare {}",
            file!(),
            script.display()
        );
        text = text.replacen(&defined, &format!(" _{i}: function("), 1);
    }
    fs::write(script, text).with_context(|| format!("cannot write {}", script.display()))
}
